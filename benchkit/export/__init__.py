"""Victims of a results folder as models, and their images as files, that others can load; and the way back.

Imports torch only to write.
May import: components, contracts, ops, plan, protocol, records, scan, spec, stages, store, training.
"""
