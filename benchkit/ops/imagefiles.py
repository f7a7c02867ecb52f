"""Foreign image files: which files count as images, and how each becomes pixels of one size.

Public for plugins, so that a dataset and a scan of images get the same pixels from the same file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageOps import exif_transpose

from benchkit.files import IMAGE, opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (
    ".apng", ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The decoded formats, whatever the name of a file: unlike EPS, none of them starts another program."""
LOSSY = ("AVIF", "JPEG", "MPO", "WEBP")


class BadImage(Exception):
    """Why a file is not a usable image, as part of a sentence; its cause is the original exception."""


@dataclass(frozen=True)
class Decoded:
    """The content of an image file.

    Attributes:
        pixels: uint8 (H, W, C), of the requested size.
        size: width and height in the file.
        form: Pillow's name of the file's format.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    form: str


def named_like_an_image(name: str) -> bool:
    """Return whether a file of this name counts as an image; hidden files do not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


@contextmanager
def strict() -> Iterator[None]:
    """Make Pillow's limit on pixels an error, and suppress its warnings about files.

    Use it around :func:`decode`, outside of the threads that call it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: str | Path, shape: tuple[int, int, int], *, links: bool = True) -> Decoded:
    """Decode one image file.

    An image of the requested size keeps its exact pixels. Any other image is stretched to that size, bilinearly with
    antialiasing: nothing is cropped, because a corner may hold a trigger.

    Args:
        shape: (C, H, W); C is 3 for RGB or 1 for grey.
        links: follow a symbolic link.

    Raises:
        BadImage: if it cannot be read, is damaged, has too many pixels, or more than 8 bits per channel.
    """
    try:
        with opened(path, IMAGE, links=links) as file:
            return _decoded(file, shape)
    except Exception as error:  # Pillow raises SyntaxError, struct.error and more for damaged files
        raise BadImage(_reason(error)) from error


def decode_bytes(raw: bytes, shape: tuple[int, int, int]) -> Decoded:
    """Decode the content of one image file, as :func:`decode` does.

    Raises:
        BadImage: as :func:`decode`.
    """
    try:
        return _decoded(io.BytesIO(raw), shape)
    except Exception as error:  # as in decode
        raise BadImage(_reason(error)) from error


def _decoded(file: BinaryIO, shape: tuple[int, int, int]) -> Decoded:
    with Image.open(file, formats=FORMATS) as image:
        size, form = image.size, image.format or ""
        return Decoded(_fitted(image, shape), size, form)


def _fitted(image: Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    image.load()
    image = exif_transpose(image)
    if image.mode[0] in "IF":  # Pillow would clip these to 255
        raise ValueError("it has more than 8 bits a channel")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    channels, height, width = shape
    mode = "RGB" if channels == 3 else "L"
    image = image if image.mode == mode else image.convert(mode)
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
