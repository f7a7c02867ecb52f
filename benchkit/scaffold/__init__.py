"""The texts that ``benchkit new`` writes. Torch-free.

May import no other folder.
"""
