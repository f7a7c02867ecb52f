"""Locks and unfinished files of working processes, and the removal of those of processes that ended.

As for other files, the umask decides who may read or change them, so users can share a folder.
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
    """Hold a lock within a ``with`` block, after the current holder; its file is removed at the end.

    The operating system releases the lock when the holder dies; forked processes do not inherit it. It works between
    machines if the file system has POSIX locks, but not between threads of one process.

    Raises:
        OSError: if the file cannot be made, or the file system has no locks.
    """
    handle = _acquired(path)
    try:
        yield
    finally:
        _give_up(path, handle)


def holder(path: Path) -> str:
    """Return the holder of a lock, such as ``process 4711 on node7``; "" if it is free or the holder is unknown.

    The holder must not call this: a process that closes a file loses its POSIX locks on it.
    """
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def myself(pid: int | None = None) -> str:
    """Return the name that ``holder`` gives to this process, or to another one of this machine."""
    return f"process {os.getpid() if pid is None else pid} on {platform.node()}"


def _acquired(path: Path, wait: int = 0) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | wait)
            if _is_at(handle, path):
                with suppress(OSError):  # the name is only information: ignore a full disk
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, myself().encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path: the holder removes it, and there may be a new one."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _give_up(path: Path, handle: int) -> None:
    # Removed while it is held: a waiting process finds that the file is gone, and makes a new one.
    with suppress(OSError):
        path.unlink()
    os.close(handle)


def sweep_locks(folder: Path) -> None:
    """Remove locks without a holder: their holders were killed."""
    for path in folder.glob("*.lock"):
        with suppress(OSError):
            _give_up(path, _acquired(path, fcntl.LOCK_NB))


def unfinished(folder: Path) -> Path:
    """Return a unique path in a folder, whose name identifies this process for a later cleanup."""
    return folder / f".new-{claim()}-{secrets.token_hex(4)}"


def claim(pid: int | None = None) -> str:
    """Return the part of unfinished files' names, between first and last dash, that identifies a process."""
    return f"{_host()}-{os.getpid() if pid is None else pid}"


def sweep_unfinished(paths: Iterable[Path]) -> None:
    """Remove those of these paths that belong to killed processes of this machine."""
    for path in paths:
        _, host, pid, *rest = f"{path.name}---".split("-")
        if host == _host() and rest and pid.isdecimal() and not _alive(int(pid)):
            with suppress(OSError):  # another run may remove it at the same time
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _host() -> str:
    # Short, because the length of a socket's path is limited.
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
