"""Files that are written completely or not at all, and operating-system errors as sentences."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchkit.errors import StoreError
from benchkit.store.locks import unfinished
from benchkit.text import printable


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one if the file does not exist."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def inside(root: Path, path: Path) -> bool:
    """Return whether a file is in a folder after all links are resolved."""
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(root))


def stay(root: Path, path: Path, what: str) -> None:
    """Refuse to change anything outside of a folder that may have come from others, with links in it.

    Args:
        root: the folder.
        path: what is to be written or removed.
        what: what the folder is to its user, such as "the results folder".

    Raises:
        StoreError: in one sentence.
    """
    if not inside(root, path):
        where = printable(str(path.parent))
        raise StoreError(f"{where} is a link out of {what}, which is not followed: put a folder there")


def slug(spec: str) -> str:
    """Return a component's spec as one safe folder name (``badnets:size=5`` -> ``badnets_size=5``)."""
    safe = "".join(letter if letter.isalnum() or letter in "-_=.,+" else "_" for letter in spec)
    if safe.strip(".") == safe and len(safe) <= 80:
        return safe
    return f"{safe.strip('.')[:60]}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"


def write_synced(path: Path, raw: bytes) -> None:
    """Write a new file and wait until it is on disk."""
    with path.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, raw: bytes) -> None:
    """Replace a file in one step; on failure the old file stays and no other file is left."""
    temporary = unfinished(path.parent)
    try:
        write_synced(temporary, raw)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
def storage_errors(root: Path) -> Iterator[None]:
    """Turn an operating-system error on the results folder into one sentence."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another folder with --results")
        raise StoreError(f"cannot write the results folder {root}: {reason}") from error
