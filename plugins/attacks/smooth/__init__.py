"""Triggers of low frequencies (Zeng et al., ICCV 2021, Section 5): the optimised one and naive ones."""
