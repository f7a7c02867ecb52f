"""Judging images and models that belong to no benchmark, by detectors that learned from clean images."""
