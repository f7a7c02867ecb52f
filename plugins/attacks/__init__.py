"""Built-in attacks, one a file."""
