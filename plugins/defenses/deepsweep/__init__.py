"""DeepSweep (Zeng et al., AsiaCCS 2021), and its transformations."""
