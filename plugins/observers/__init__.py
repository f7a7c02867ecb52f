"""Built-in observers, one a file: each hands records to a tracker once its environment variable is set."""
