"""How each kind of defense becomes numbers, given what only the measurement may know.

Imports torch. Part of the keys of cells.
May import: components, contracts, models, ops, records.
"""
