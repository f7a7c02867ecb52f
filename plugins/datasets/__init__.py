"""Built-in datasets: one file or folder per dataset."""
