"""From a Spec to steps with keys. Pure: nothing runs here.

``planner`` lays the steps out, ``fingerprint`` makes their keys, ``reach`` finds the code that a key must cover.
Torch-free.
May import: components, contracts, params, spec, store, training.
"""
