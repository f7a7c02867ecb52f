"""Built-in defenses, one a file."""
