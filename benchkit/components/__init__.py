"""What the harness itself adds to the registry, or gives plugins to build on: ``none``, and wrappers of attacks.

Code here counts in keys as a plugin's does. Torch-free at import.
May import: contracts, models, params.
"""
