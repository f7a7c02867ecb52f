"""What a plugin is: its parameters, what it is handed, what it must return, and the checks of what it returns.

Plugin authors import these names from ``benchkit`` itself. Torch-free at import. Results depend on the methods that a
stage calls here, so those are part of its key; declaring a parameter, or its text, is not.
May import: models, params, protocol.
"""
