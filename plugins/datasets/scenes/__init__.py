"""The embedded set: rendered scenes."""
