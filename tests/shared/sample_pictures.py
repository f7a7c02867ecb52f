"""Small pictures, as images and as files, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def even(level: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> Image.Image:
    """Return an image (width, height) of one grey level."""
    return Image.new(mode, size, (level,) * 3 if mode == "RGB" else level)


def save_even(path: Path, level: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> None:
    """Write such an image, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    even(level, size, mode).save(path)


def cornered(level: int = 60, corner: int | None = None, size: int = 12, mode: str = "RGB") -> Image.Image:
    """Return a square one, perhaps with a 3 x 3 corner of another brightness."""
    image = even(level, (size, size), mode)
    if corner is not None:
        image.paste((corner,) * 3, (size - 3, size - 3, size, size))
    return image


def folder_of_one(parent: Path, image: Image.Image) -> Path:
    """Return a folder with this image as one.png."""
    root = parent / "one"
    root.mkdir(exist_ok=True)
    image.save(root / "one.png")
    return root
