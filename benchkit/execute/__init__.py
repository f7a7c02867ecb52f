"""Who runs a step, when and where. Nothing here changes a number, and nothing here is part of a key.

``resolve`` turns options into a planned request, ``session`` executes one. Torch only in ``executors.worker``.
May import: contracts, models, plan, spec, stages, store.
"""
