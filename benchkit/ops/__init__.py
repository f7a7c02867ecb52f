"""Arithmetic on batches of images that plugins and the harness share: pixels, spectra, image files.

Imports torch. The code is part of the key of every caller. May import no other folder.
"""
