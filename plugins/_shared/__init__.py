"""Helpers shared by two or more built-in methods; external plugins use ``benchkit.ops`` instead."""
