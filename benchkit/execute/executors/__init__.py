"""What runs steps: processes of this machine, this process itself, or a Ray cluster.

Only ``worker``, which runs inside such processes, imports torch.
"""
