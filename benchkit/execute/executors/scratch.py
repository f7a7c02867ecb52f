"""Temporary folders of this process and its child processes. Torch-free."""

from __future__ import annotations

import functools
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

from benchkit.store.locks import claim, sweep_unfinished

PREFIX = "bk-"
"""Short, because the path of a socket has at most 107 bytes."""


FALLBACK = Path("/tmp")  # noqa: S108 - nobody can guess the name of what is made there
ROOM = 74
"""Maximum length in bytes of the folder in which multiprocessing makes its socket folder."""


def scratch() -> Path:
    """Return a temporary folder that is removed when this process ends; also remove those of killed processes.

    Raises:
        OSError: if there is no folder for temporary files.
    """
    return _made(Path(tempfile.gettempdir()))


def for_sockets(room: int = ROOM) -> Path:
    """Return a temporary folder for sockets, whose path has at most ``room`` bytes; in /tmp if necessary."""
    folder = scratch()
    return folder if len(bytes(folder)) <= room else _made(FALLBACK)


@functools.cache
def _made(parent: Path) -> Path:
    sweep_unfinished(parent.glob(f"{PREFIX}*"))
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{claim()}-", dir=parent))
    # Runs after multiprocessing has removed its own folder inside.
    Finalize(None, shutil.rmtree, (made,), {"ignore_errors": True}, exitpriority=-1000)
    return made
