"""Built-in attacks: one file or folder per method."""
