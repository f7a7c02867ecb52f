"""Networks by name, and Classifier: a network together with the normalisation of its inputs.

Imports torch. The code that a stage uses is part of its key. May import no other folder.
"""
