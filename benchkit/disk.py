"""What an operating system refuses, in a sentence that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchkit.errors import StoreError

REASONS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder with --results",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another folder with --results",
    errno.EROFS: "its file system is read-only: choose another folder with --results",
    errno.EACCES: "you may not write there: choose another folder with --results",
    errno.EPERM: "you may not write there: choose another folder with --results",
    errno.ENOTDIR: "part of that path is a file: choose another folder with --results",
    errno.EEXIST: "there is a file of that name: choose another folder with --results",
}


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn an operating-system error on the results folder into one sentence."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another folder with --results")
        raise StoreError(f"cannot write the results folder {root}: {reason}") from error
