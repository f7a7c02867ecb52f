"""One folder of images, or one model from elsewhere, judged by a detector.

May import: contracts, execute, measure, models, ops, plan, protocol, records, spec, stages, store.
"""
