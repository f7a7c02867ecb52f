"""Arithmetic on batches of images that plugins and the harness share: pixels, spectra, image files.

Imports torch. Counts in the key of whoever calls it.
May import no other folder.
"""
