"""Scan one folder of images, or one foreign model, with a detector.

May import: contracts, execute, measure, models, ops, plan, protocol, records, spec, stages, store.
"""
