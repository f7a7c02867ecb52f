"""Arithmetic that plugins and the harness share: images, spectra, wavelets, outliers, gradients, a small network.

Imports torch. The code is part of the key of every caller. May import no other folder.
"""
