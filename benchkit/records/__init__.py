"""What a record is: one class with its JSON (`record`), the metrics it holds, and the doubts it may carry.

Torch-free. The doubts are part of the cells' keys; names and the class are not.
May import no other folder.
"""
