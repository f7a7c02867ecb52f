"""A table document, or the cells, as text, LaTeX, CSV, JSON, data frames or one HTML page."""
