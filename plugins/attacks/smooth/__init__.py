"""Triggers of low frequencies (Zeng et al., ICCV 2021, Section 5): the searched one, and naive ones."""
