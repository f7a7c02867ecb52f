"""Victims of a results folder as models that others can load. Imports torch only to write.

May import: components, contracts, plan, records, spec, store, training.
"""
