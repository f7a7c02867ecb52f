"""Parameters: how a component declares them, how text spells them, and how text becomes a component.

Torch-free. No part of keys: what it returns is in them.
May import no other folder.
"""
