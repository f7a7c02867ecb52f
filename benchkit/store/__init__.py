"""The results folder: artifacts by key, records by path, locks, and atomic files.

Torch-free at import. This code is not part of keys: it returns the stored bytes, verified by checksums.
May import: records.
"""
