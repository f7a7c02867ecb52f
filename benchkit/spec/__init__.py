"""From text to a validated request: component strings, suite files and options become one Spec.

Torch-free. This code is not part of keys; its results are.
May import: components, contracts, params, records, training.
"""
