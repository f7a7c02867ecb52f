"""Image files of an untrusted folder: found one folder at a time, decoded in batches; every error is a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.errors import DataError
from benchkit.files import Found, Passed, walk
from benchkit.ops.imagefiles import BadImage, decode, named_like_an_image
from benchkit.scan.prepare import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THREADS = 2
"""Few, because one file may need a quarter of a gigabyte to decode."""
BATCH = 256
BATCH_BYTES = 2**25


@dataclass(frozen=True)
class Picture:
    """The content of one file.

    Attributes:
        file: path relative to the scanned folder, unescaped; it may contain any characters.
        fault: why it could not be read; then there are no pixels.
        pixels: uint8 (H, W, C), resized to the size of the detector.
        size: width and height in the file.
        form: Pillow's name of the file's format.
    """

    file: str
    fault: str = ""
    pixels: NDArray[np.uint8] | None = None
    size: tuple[int, int] = (0, 0)
    form: str = ""


def pictures(root: Path, shape: tuple[int, int, int], passed: Passed) -> Iterator[list[Picture]]:
    """Yield the images below a folder, decoded to ``shape`` (C, H, W), in batches; links are not followed."""
    channels, height, width = shape
    size = max(8, min(BATCH, BATCH_BYTES // (channels * height * width)))
    found = walk(root, named_like_an_image, passed, links=False)
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(found, size)):
            yield list(pool.map(partial(_read, root, shape), some))


def require_some(root: Path) -> None:
    """Before any work, raise DataError if no file below a folder is named like an image."""
    passed = Passed()
    if next(walk(root, named_like_an_image, passed, links=False), None) is None:
        raise nothing_in(root, passed)


def nothing_in(root: Path, passed: Passed) -> DataError:
    """Return the error that says that a folder has no images, and what was skipped there."""
    parts = ", ".join(passed.parts("an image"))
    over = f" (passed over: {printable(parts)})" if parts else ""
    return DataError(f"there are no images in {printable(str(root))}{over}: nothing to scan")


def _read(root: Path, shape: tuple[int, int, int], found: Found) -> Picture:
    """Return a file with its pixels, or with its fault."""
    if found.fault:
        return Picture(found.path or ".", found.fault)
    try:
        # A link or a pipe may have replaced the file since it was listed: do not follow it or wait for it.
        image = decode(root / found.path, shape, links=False)
    except BadImage as error:
        return Picture(found.path, str(error))
    return Picture(found.path, "", image.pixels, image.size, image.form)
