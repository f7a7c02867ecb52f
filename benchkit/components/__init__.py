"""The harness's own components: ``none``, and the base of attack wrappers.

Code here is part of keys, like the code of a plugin. Torch-free at import.
May import: contracts, models, params.
"""
