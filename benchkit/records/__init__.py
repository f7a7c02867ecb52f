"""What a record is: its schema, the metrics it holds, and the doubts it may carry.

Torch-free. The doubts are part of the cells' keys; names and schema are not.
May import no other folder.
"""
