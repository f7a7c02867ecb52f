"""Figures from records: ROC curves, galleries of triggers, spectra. They need matplotlib."""
