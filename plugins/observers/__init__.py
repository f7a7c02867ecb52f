"""Built-in observers, one per file: each sends records to a tracker if its environment variable is set."""
