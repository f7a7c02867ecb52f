"""Victims of a results folder as models that others can load. Imports torch where it writes.

May import: components, contracts, plan, report, spec, store, training.
"""
