"""The measurement of each kind of defense, with data that only the measurement may see.

Imports torch. Part of the keys of cells.
May import: components, contracts, models, ops, records.
"""
