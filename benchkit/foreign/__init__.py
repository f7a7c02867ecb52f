"""Attacks that were run elsewhere: from folders of images to the bundle that ``replay`` plays, and back.

May import: contracts, ops, store.
"""
