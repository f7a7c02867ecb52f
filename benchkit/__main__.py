"""``python -m benchkit``, which Python starts with the current folder as the first that modules are looked for in."""

import os
import sys
from contextlib import suppress

with suppress(OSError):  # the folder may be gone
    if sys.path[0] == os.getcwd():  # noqa: PTH109
        del sys.path[0]

from benchkit.cli import main

main()
