"""Where this process, and those that it starts, keep what is of no use when they have ended. Torch-free."""

from __future__ import annotations

import functools
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

from benchkit.store.locks import claim, sweep_unfinished

PREFIX = "bk-"
"""Short, like all of the name: the path of a socket has 107 bytes at most."""


FALLBACK = Path("/tmp")  # noqa: S108 - nobody can guess the name of what is made there
ROOM = 74
"""Bytes that the folder may have in which multiprocessing makes the folder of its socket."""


def scratch() -> Path:
    """Return a temporary folder that goes with this process; those of processes that were killed go now.

    Raises:
        OSError: when there is no folder for temporary files.
    """
    return _made(Path(tempfile.gettempdir()))


def for_sockets(room: int = ROOM) -> Path:
    """Return such a folder whose name has at most so many bytes, because sockets lie in it: in /tmp, if need be."""
    folder = scratch()
    return folder if len(bytes(folder)) <= room else _made(FALLBACK)


@functools.cache
def _made(parent: Path) -> Path:
    sweep_unfinished(parent.glob(f"{PREFIX}*"))
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{claim()}-", dir=parent))
    # After multiprocessing has removed its own, which is in it.
    Finalize(None, shutil.rmtree, (made,), {"ignore_errors": True}, exitpriority=-1000)
    return made
