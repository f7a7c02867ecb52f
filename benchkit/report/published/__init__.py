"""Our cells beside published numbers (``benchkit report --against``)."""
