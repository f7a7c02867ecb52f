"""From a data set and a recipe to a trained Classifier; one at a time, or many models stacked.

``recipes`` is torch-free, so that a command line can name them; the rest imports torch. Part of the keys of the steps
that train.
May import: contracts, models, ops, params.
"""
