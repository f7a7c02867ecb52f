"""What each kind of step computes: one module a stage, and what they stand on.

``workspace`` loads what steps share and hands out scenes, ``run`` dispatches, locks and publishes. Imports torch. Part
of the keys of the steps.
May import: contracts, measure, models, ops, plan, protocol, records, spec, store, training.
"""
