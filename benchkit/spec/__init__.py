"""From text to a validated request: component strings, suite files and options become one Spec.

Torch-free. No part of keys: what it returns is in them.
May import: components, contracts, params, training.
"""
