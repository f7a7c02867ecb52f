"""Cells as tables of marked entries with notes, before any format."""
