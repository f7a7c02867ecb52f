"""``python -m benchkit``."""

from benchkit.cli import main

main()
