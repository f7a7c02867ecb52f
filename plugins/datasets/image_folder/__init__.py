"""Images in one folder per class, in the layouts of users and other benchmarks."""
