"""What each kind of step computes: one module a stage, and what they stand on.

``workspace`` loads what steps share and hands out scenes, ``run`` dispatches, locks and publishes. Imports torch. Part
of the keys of the steps. May import: measure, training, contracts, models, ops, plan, spec, store, records.
"""
