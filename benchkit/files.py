"""The only way to find and open foreign files.

Only regular files of bounded size are opened, without blocking: a pipe instead of a file is refused. The module needs
only the standard library, so that reports and plugins can both use it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
TEXT = 2**24
"""Bytes in the largest text file that is read: a suite, published numbers, a plugin."""
RECORD = 2**26
"""Bytes in the largest record that is read."""
IMAGE = 2**28
"""Bytes in the largest image file that is read."""
ENDINGS = 5
"""Number of extensions of skipped files that are remembered."""


def _visible(name: str) -> bool:
    return not name.startswith(".")


@contextmanager
def opened(path: str | Path, most: int, *, links: bool = True) -> Iterator[BinaryIO]:
    """Open a regular file of at most ``most`` bytes for reading.

    Args:
        links: follow a symbolic link; untrusted folders are read without links.

    Raises:
        OSError: its ``strerror`` gives the reason.
    """
    handle = os.open(path, FLAGS | (0 if links else NO_LINK))
    try:
        _require(os.fstat(handle), path, most)
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    with file:
        yield file


def require(path: str | Path, most: int) -> None:
    """Refuse a file that :func:`opened` would refuse, without opening it.

    Raises:
        OSError: its ``strerror`` gives the reason.
    """
    _require(Path(path).stat(), path, most)


def _require(found: os.stat_result, path: str | Path, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, at most {most:,} are read", str(path))


def read(path: str | Path, most: int) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: its ``strerror`` gives the reason.
    """
    with opened(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        raw = file.read(size + 1)
        if len(raw) > size:
            raise OSError(errno.EIO, "it grows while it is read", str(path))
        return raw


@dataclass
class Passed:
    """The entries that a walk skipped.

    Attributes:
        hidden: files and folders whose names begin with a dot.
        others: files without a wanted name.
        endings: the extensions of some of these.
        odd: pipes, devices and similar entries, with any name.
        links: symbolic links that are not followed, or that lead to a visited folder.
    """

    hidden: int = 0
    others: int = 0
    endings: set[str] = field(default_factory=set)
    odd: int = 0
    links: int = 0

    def other(self, name: str) -> None:
        """Count a file that is hidden or has no wanted name."""
        if not _visible(name):
            self.hidden += 1
            return
        self.others += 1
        if len(self.endings) < ENDINGS:
            self.endings.add(os.path.splitext(name)[1].lower()[:10] or "no ending")  # noqa: PTH122 - names by the million

    def parts(self, wanted: str) -> list[str]:
        """Return each count above 0 with its reason, in words; ``wanted`` names the wanted files."""
        endings = ", ".join(sorted(self.endings))
        counted = (
            (self.others, f"not named like {wanted} ({endings})"),
            (self.hidden, "hidden"),
            (self.odd, "neither a file nor a folder"),
            (self.links, "symbolic links, not followed"),
        )
        return [f"{count} {reason}" for count, reason in counted if count]


@dataclass(frozen=True)
class Found:
    """A file below the walked folder, or a path that could not be read, with its fault; "" is the folder itself."""

    path: str
    fault: str = ""


def walk(
    root: str | Path,
    wanted: Callable[[str], bool],
    passed: Passed,
    *,
    links: bool = True,
    enter: Callable[[str], bool] = _visible,
) -> Iterator[Found]:
    """Yield every file with a wanted name below a folder, sorted by name within each folder, files first.

    Only the names of one folder are in memory at a time, and no folder is visited twice. A folder that cannot be listed
    and, with ``links``, a broken link are yielded with their fault.

    Args:
        wanted: returns whether a file of this name is wanted.
        passed: counts the others.
        links: follow symbolic links.
        enter: returns whether a folder of this name is visited.
    """
    todo, seen = [""], set[tuple[int, int]]()
    while todo:
        inside = todo.pop()
        try:
            folder = os.path.join(root, inside)  # noqa: PTH118 - pathlib costs more than reading small files
            here = os.stat(folder)  # noqa: PTH116
            if (here.st_dev, here.st_ino) in seen:
                passed.links += 1
                continue
            seen.add((here.st_dev, here.st_ino))
            entries = _entries(folder, links)
        except OSError as error:
            yield Found(inside, f"folder cannot be read ({error.strerror})")
            continue
        before = f"{inside}{os.sep}" if inside else ""
        yield from _files(entries, before, wanted, passed)
        todo += [before + name for name in reversed(_folders(entries, enter, passed))]


def _entries(folder: str, links: bool) -> list[tuple[str, str]]:
    """Return the names in a folder, sorted, each with its kind."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, kind(entry, links)) for entry in entries)


def kind(entry: os.DirEntry[str], links: bool = True) -> str:
    """Return ``folder``, ``file``, ``link`` (not followed), ``nowhere`` (a broken link), or ``odd``."""
    if entry.is_symlink() and not links:
        return "link"
    try:
        found = entry.stat() if entry.is_symlink() else None
    except OSError:
        return "nowhere"
    if stat.S_ISDIR(found.st_mode) if found else entry.is_dir():
        return "folder"
    return "file" if (stat.S_ISREG(found.st_mode) if found else entry.is_file()) else "odd"


def _files(
    entries: list[tuple[str, str]], before: str, wanted: Callable[[str], bool], passed: Passed
) -> Iterator[Found]:
    for name, what in entries:
        if what == "link":
            passed.links += 1
        elif what == "nowhere" and _visible(name):
            yield Found(before + name, "it is a link that leads nowhere")
        elif what == "odd":
            passed.odd += 1
        elif what == "file" and wanted(name):
            yield Found(before + name)
        elif what != "folder":
            passed.other(name)


def _folders(entries: list[tuple[str, str]], enter: Callable[[str], bool], passed: Passed) -> list[str]:
    folders = [name for name, what in entries if what == "folder"]
    entered = [name for name in folders if enter(name)]
    passed.hidden += sum(not _visible(name) for name in folders) - sum(not _visible(name) for name in entered)
    return entered
