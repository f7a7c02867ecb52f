"""Walk over a plan on one or many workers; the only part of benchkit that writes results."""
