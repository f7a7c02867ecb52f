"""Reading image files: decoded by threads, every fault one sentence that names the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageOps import exif_transpose
from torch import Tensor

import benchkit

THREADS = 4
CHUNK = 256
MOST_PIXELS = 64_000_000


def walk(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, stat) of a file, or of every file beneath a folder except hidden ones, in no set order."""
    if path.is_file():
        yield str(path), path.stat()
    if not path.is_dir():
        return
    folders = [str(path)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.name.startswith("."):
                    yield entry.path, entry.stat()


def fingerprint(root: Path, files: Iterable[tuple[str, os.stat_result]]) -> str:
    """Return a hash of (path, stat) pairs: paths relative to ``root``, sizes, mtimes.

    Raises:
        DataError: when a file vanishes or cannot be looked at.
    """
    try:
        lines = sorted(f"{path.removeprefix(str(root))} {s.st_size} {s.st_mtime_ns}" for path, s in files)
    except OSError as error:
        raise benchkit.DataError(f"{error.filename} cannot be read ({error.strerror})") from error
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert to RGB or L; sixteen-bit and float images are refused, because PIL would clip them to 255."""
    if image.mode[0] in "IF":
        raise ValueError("more than 8 bits a channel")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _resize(image: Image.Image, size: int, crop: bool) -> Image.Image:
    if image.size == (size, size):
        return image
    if crop:
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        image = image.crop((left, top, left + short, top + short))
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _read(path: str, size: int, mode: str, crop: bool) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            image.load()
            return np.asarray(_resize(_convert(exif_transpose(image), mode), size, crop))
    except FileNotFoundError as error:
        raise benchkit.DataError(f"{path} is missing: put it back, or take it out of the list") from error
    except Exception as error:  # PIL raises SyntaxError, struct.error and more for damaged files
        reason = str(error).split(path)[0].rstrip(" '\"")
        raise benchkit.DataError(f"{path} is not a usable image ({reason}): replace or remove it") from error


def decode(paths: Sequence[str], size: int, *, channels: int = 3, crop: bool = False) -> Tensor:
    """Decode images, in the order given, into one uint8 tensor (N, channels, size, size).

    An image that is size x size already keeps its exact pixels. Others are resized bilinearly with
    antialias: stretched, or with ``crop`` cut to the square at their centre.

    Raises:
        DataError: naming the first file that is missing, damaged or implausibly large.
    """
    out = np.empty((len(paths), size, size, channels), np.uint8)
    mode = "RGB" if channels == 3 else "L"

    def fill(start: int) -> None:
        for row in range(start, min(start + CHUNK, len(paths))):
            out[row] = _read(paths[row], size, mode, crop).reshape(size, size, channels)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(0, len(paths), CHUNK)))
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()
