"""Scan one folder of images, one labelled training set, or one foreign model, with detectors and filters.

May import: contracts, execute, measure, models, ops, params, plan, protocol, records, spec, stages, store, training.
"""
