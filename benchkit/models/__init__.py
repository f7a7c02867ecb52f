"""Networks by name, and Classifier: a network together with the normalisation of its inputs.

Imports torch. What a stage builds or asks is part of its key.
May import no other folder.
"""
