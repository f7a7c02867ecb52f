"""Parameters: how a component declares them, how text spells them, and how text becomes a component.

Torch-free. This code is not part of keys; the parameter values are. May import no other folder.
"""
