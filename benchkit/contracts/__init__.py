"""The interface of plugins: their base classes, their inputs, their results, and the checks of these results.

Plugin authors import these names from ``benchkit``. Torch-free at import. Results depend on the methods that a
stage calls here, so they are part of its key; the declaration and the description of a parameter are not.
May import: models, ops, params, protocol, records.
"""
