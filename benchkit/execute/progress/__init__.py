"""The progress messages of a run, and the estimate of its remaining time."""
