"""The execution of steps: order, workers, retries. Nothing here changes a result or is part of a key.

``resolve`` turns options into a planned request, ``session`` executes one. Torch only in ``executors.worker``.
May import: contracts, models, plan, records, spec, stages, store.
"""
