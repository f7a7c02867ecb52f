"""Two results folders side by side (``benchkit report --compare``)."""
