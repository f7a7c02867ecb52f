"""The texts that ``benchkit new`` writes. Torch-free."""
