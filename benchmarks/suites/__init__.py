"""Suites of benchkit: each TOML file is a run that goes by its name."""
