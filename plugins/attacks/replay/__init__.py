"""Attacks that were made elsewhere, from their files."""
