"""``python -m benchkit``, for which Python puts the current folder first on the module search path."""

import os
import sys
from contextlib import suppress

with suppress(OSError):  # the folder may not exist any more
    if sys.path[0] == os.getcwd():  # noqa: PTH109
        del sys.path[0]

from benchkit.cli import main

main()
