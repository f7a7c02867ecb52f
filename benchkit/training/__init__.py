"""From a dataset and a recipe to a trained Classifier: one model at a time, or many stacked models.

``recipes`` is torch-free, so that the command line can list them; the rest imports torch. Part of the keys of the steps
that train.
May import: contracts, models, ops, params.
"""
