"""Read image files with several threads; every error is one sentence that names the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

import benchkit
from benchkit import files
from benchkit.ops import imagefiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

THREADS = 4
CHUNK = 256


def walk(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, stat) of a file, or of every file below a folder except hidden ones.

    Raises:
        DataError: when a folder cannot be listed.
    """
    if not path.is_dir():
        yield from [(str(path), path.stat())] if path.is_file() else []
        return
    for found in files.walk(path, lambda name: not name.startswith("."), files.Passed()):
        if found.fault:
            raise benchkit.DataError(f"{path / found.path} cannot be read: {found.fault}")
        yield str(path / found.path), (path / found.path).stat()


def fingerprint(root: Path, found: Iterable[tuple[str, os.stat_result]]) -> str:
    """Return a hash of (path, stat) pairs: paths relative to ``root``, sizes, mtimes.

    Raises:
        DataError: if a file vanishes or its status cannot be read.
    """
    try:
        lines = sorted(f"{path.removeprefix(str(root))} {s.st_size} {s.st_mtime_ns}" for path, s in found)
    except OSError as error:
        raise benchkit.DataError(f"{error.filename} cannot be read ({error.strerror})") from error
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def text(path: Path) -> str:
    """Return the content of a text file of a dataset.

    Raises:
        DataError: if it is not a regular file of moderate size in UTF-8.
    """
    try:
        return files.read(path, files.TEXT).decode("utf-8-sig")
    except OSError as error:
        raise benchkit.DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise benchkit.DataError(f"{path} is not text in UTF-8: replace it") from error


def _read(path: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    try:
        return imagefiles.decode(path, shape).pixels
    except imagefiles.BadImage as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise benchkit.DataError(f"{path} is missing: put it back, or take it out of the list") from error
        raise benchkit.DataError(f"{path} is not a usable image ({error}): replace or remove it") from error


def decode(paths: Sequence[str], size: int, *, channels: int = 3) -> Tensor:
    """Decode images, in the given order, into one uint8 tensor (N, channels, size, size).

    An image of size x size keeps its exact pixels; others are stretched (``imagefiles.decode``).

    Raises:
        DataError: naming the first file that is missing, damaged or implausibly large.
    """
    out = np.empty((len(paths), size, size, channels), np.uint8)

    def fill(start: int) -> None:
        for row in range(start, min(start + CHUNK, len(paths))):
            out[row] = _read(paths[row], (channels, size, size))

    with imagefiles.strict(), ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(0, len(paths), CHUNK)))
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()
