"""What a process claims while it works, locks and unfinished files, and what the dead have left of either.

Who may read or change them follows from the umask, as for any other file: users who set it so share a folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for the length of a ``with`` block, after whoever holds it now; its file goes with it.

    The operating system frees it when the holder dies; processes that the holder forked never had it. It works
    between machines where the file system has POSIX locks, and not between the threads of one process.

    Raises:
        OSError: when the file cannot be made, or the file system has no locks.
    """
    handle = _acquired(path)
    try:
        yield
    finally:
        _give_up(path, handle)


def holder(path: Path) -> str:
    """Return who holds a lock, such as ``process 4711 on node7``; "" if nobody does, or cannot say.

    Not for the holder itself: a process that closes a file loses its POSIX locks on it.
    """
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def myself(pid: int | None = None) -> str:
    """Return how ``holder`` names this process, or another one of this machine."""
    return f"process {os.getpid() if pid is None else pid} on {platform.node()}"


def _acquired(path: Path, wait: int = 0) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | wait)
            if _is_at(handle, path):
                with suppress(OSError):  # the name is for people: a full disk may do without
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, myself().encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Say whether an open file is still the one at a path: its holder removes it, and another may have come."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _give_up(path: Path, handle: int) -> None:
    # Removed while it is held: whoever waits for this file finds that it is gone, and makes a new one.
    with suppress(OSError):
        path.unlink()
    os.close(handle)


def sweep_locks(folder: Path) -> None:
    """Remove the locks that nobody holds: their holders were killed."""
    for path in folder.glob("*.lock"):
        with suppress(OSError):
            _give_up(path, _acquired(path, fcntl.LOCK_NB))


def unfinished(folder: Path) -> Path:
    """Return a path in a folder that nobody else uses, and whose name says whom to clean up after."""
    return folder / f".new-{claim()}-{secrets.token_hex(4)}"


def claim(pid: int | None = None) -> str:
    """Return what names of this process's unfinished files, or another's, have between their first and last dash."""
    return f"{_host()}-{os.getpid() if pid is None else pid}"


def sweep_unfinished(paths: Iterable[Path]) -> None:
    """Remove those of these paths that processes of this machine left when they were killed."""
    for path in paths:
        _, host, pid, *rest = f"{path.name}---".split("-")
        if host == _host() and rest and pid.isdecimal() and not _alive(int(pid)):
            with suppress(OSError):  # another run may be sweeping too
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _host() -> str:
    # Short, because the path of a socket may not be long.
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
