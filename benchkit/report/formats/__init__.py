"""A table document, or the cells themselves, as text, LaTeX, CSV, JSON, data frames or one HTML page."""
