"""Built-in defenses: one file or folder per method."""
