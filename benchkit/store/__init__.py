"""The results folder: artifacts by key, records by path, locks, and files that are written whole or not at all.

Torch-free at import. No part of keys: it hands back the bytes that it was given, and proves it by checksums.
May import: records.
"""
