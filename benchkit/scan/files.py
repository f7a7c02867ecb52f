"""Image files of a stranger's folder: found one folder at a time, decoded in batches, every fault a verdict."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageOps import exif_transpose

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, whatever a file is called: none of these starts another program, as EPS does."""
LOSSY = ("JPEG", "MPO", "WEBP")
THREADS = 2
"""Few, since a file may take a quarter of a gigabyte to decode."""
BATCH = 256
BATCH_BYTES = 2**25
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class Passed:
    """What a walk passed over: other files (hidden ones among them), and symbolic links, which are not followed."""

    others: int = 0
    links: int = 0


@dataclass(frozen=True)
class Picture:
    """One file as it was read.

    Attributes:
        file: path relative to the scanned folder, as the system has it: anything may be in it.
        fault: why it could not be read; then it has no pixels.
        pixels: uint8 (H, W, C), resized to what the detector takes.
        size: width and height in the file.
        form: Pillow's name of the file's format.
    """

    file: str
    fault: str = ""
    pixels: NDArray[np.uint8] | None = None
    size: tuple[int, int] = (0, 0)
    form: str = ""


def walk(root: Path, passed: Passed) -> Iterator[Picture]:
    """Yield every image file beneath a folder, not read yet, sorted by name within each folder, files first.

    Only the names of one folder are held at a time. A folder that cannot be listed is yielded with its fault.
    """
    todo = [""]
    while todo:
        inside = todo.pop()
        try:
            names, folders = _listed(root, inside, passed)
        except OSError as error:
            yield Picture(inside or ".", f"folder cannot be read ({error.strerror})")
            continue
        yield from (Picture(str(Path(inside, name))) for name in names)
        todo += [str(Path(inside, name)) for name in reversed(folders)]


def _listed(root: Path, inside: str, passed: Passed) -> tuple[list[str], list[str]]:
    names, folders = [], []
    with os.scandir(root / inside) as entries:
        for entry in entries:
            if entry.is_symlink():
                passed.links += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False) and _named_like_an_image(entry.name):
                names.append(entry.name)
            else:
                passed.others += 1
    return sorted(names), sorted(folders)


def _named_like_an_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def pictures(root: Path, shape: tuple[int, int, int], passed: Passed) -> Iterator[list[Picture]]:
    """Yield the images beneath a folder, decoded to ``shape`` (C, H, W), some at a time."""
    channels, height, width = shape
    size = max(8, min(BATCH, BATCH_BYTES // (channels * height * width)))
    found = walk(root, passed)
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(found, size)):
            yield list(pool.map(partial(read, root, shape), some))


@contextmanager
def strict() -> Iterator[None]:
    """Make Pillow's limit on pixels an error, and keep it from printing what files make it warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read(root: Path, shape: tuple[int, int, int], found: Picture) -> Picture:
    """Return a found file with its pixels, or with its fault."""
    if found.fault:
        return found
    try:
        # Without following a link, or waiting for a pipe, that took the file's place since it was listed.
        handle = os.open(root / found.file, FLAGS)
        with os.fdopen(handle, "rb") as file, Image.open(file, formats=FORMATS) as image:
            size, form = image.size, image.format or ""
            return Picture(found.file, "", _fitted(image, shape), size, form)
    except Exception as error:  # Pillow raises SyntaxError, struct.error and more for damaged files
        return Picture(found.file, _reason(error))


def _fitted(image: Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return pixels (H, W, C): the whole image, stretched where it must be, since a corner may hold the trigger."""
    image.load()
    image = exif_transpose(image)
    if image.mode[0] in "IF":
        raise ValueError("it has more than 8 bits a channel")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    channels, height, width = shape
    image = image.convert("RGB" if channels == 3 else "L")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
