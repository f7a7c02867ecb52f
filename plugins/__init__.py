"""The built-in plugins. Installed, and only ever imported, as ``benchkit_plugins``."""

if __name__ != "benchkit_plugins":
    raise ImportError(f"import this package as 'benchkit_plugins', not {__name__!r}")
