"""Published numbers: each CSV file goes by its name."""
