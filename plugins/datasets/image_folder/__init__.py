"""Images in folders, one a class, as users and other benchmarks lay them out."""
