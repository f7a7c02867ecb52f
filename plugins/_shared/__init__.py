"""Helpers that two methods or more share; never imported by outsiders, who have ``benchkit.ops``."""
