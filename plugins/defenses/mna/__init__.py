"""Meta neural analysis (Xu et al., S&P 2021): a classifier of models, trained on shadow models."""
