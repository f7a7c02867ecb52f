"""Certified nearest neighbours, and the features in which they are near."""
