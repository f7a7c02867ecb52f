"""Victims of a results folder as models that others can load. Imports torch only to write.

May import: components, contracts, plan, report, spec, store, training.
"""
