"""Victims of a results folder as models that others can load, and their images. Imports torch only to write.

May import: components, contracts, plan, protocol, records, spec, stages, store, training.
"""
