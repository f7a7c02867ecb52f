"""A contact sheet: images in a grid with a line or two on each, the most suspicious or those of detectors."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw
from PIL.ImageOps import exif_transpose

from benchkit.files import IMAGE, opened
from benchkit.ops.imagefiles import FORMATS, strict
from benchkit.scan.prepare import printable, write

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.scan.images import Scan, Scored
    from benchkit.scan.labelled import Labelled
    from benchkit.scan.model import Judged
    from benchkit.scan.rows import Row

SIDE, LABEL, MARGIN = 128, 30, 8
"""Sizes of a cell in pixels: the longer side of its image, its two lines of text, the space around it."""
MOST = 200
LETTERS = 20
RED, GREY, WHITE, BLACK = (200, 30, 30), (170, 170, 170), (255, 255, 255), (0, 0, 0)


class Tile(NamedTuple):
    """One image of a sheet, two lines of text below it, and whether it is flagged; a tensor is uint8 (C, H, W)."""

    pixels: Tensor | Image.Image
    head: str
    name: str
    flagged: bool


def sheet(found: Scan, root: Path) -> bytes:
    """Return a PNG of the most suspicious photographs below ``root``, at most 200; flagged ones have a red frame."""
    with strict():
        return drawn(_scored(found, root, one) for one in found.top)


def _scored(found: Scan, root: Path, one: Scored) -> Tile:
    """Return the photograph as it is in its file, with its score, and the share of clean ones below it."""
    head = f"{one.score:.2f} > {found.percentile(one.score):.1f}%"
    return Tile(original(root / one.picture.file) or one.pixels, head, one.picture.file, one.score > found.threshold)


def draw_rows(rows: Iterable[Row], suspects: Labelled, root: Path, path: Path) -> None:
    """Write a PNG of rows of a training set below ``root``, at most 200; what a filter drops has a red frame.

    Raises:
        StoreError: if it cannot be written.
    """
    with strict():
        tiles = [
            Tile(
                original(root / row.file) or suspects.split.images[row.number],
                f"{row.label[:LETTERS]} > {row.mean:.1f}%",
                Path(row.file).name,
                bool(row.flagged_by),
            )
            for row in islice(rows, MOST)
        ]
    write(path, drawn(tiles))


def draw_images(verdicts: Iterable[Judged], path: Path) -> list[str]:
    """Write a PNG of the images that model detectors gave; return a note if there are none, and no file.

    Those of a flagged model have a red frame.

    Raises:
        StoreError: if it cannot be written.
    """
    images = [(one, name, image) for one in verdicts for name, image in one.images.items()]
    if not images:
        return [f"no detector gave an image, so {printable(str(path))} was not written"]
    write(path, drawn(Tile(image, name, one.defense, one.word == "flagged") for one, name, image in images))
    return []


def drawn(tiles: Iterable[Tile]) -> bytes:
    """Return a PNG of a grid of at least one image, at most 200."""
    shown = list(tiles)[:MOST]
    columns = min(len(shown), max(1, math.ceil(math.sqrt(1.5 * len(shown)))))
    rows = math.ceil(len(shown) / columns)
    width, height = SIDE + 2 * MARGIN, SIDE + LABEL + 2 * MARGIN
    canvas = Image.new("RGB", (columns * width, rows * height), WHITE)
    for place, one in enumerate(shown):
        across, down = place % columns, place // columns
        _cell(canvas, (across * width + MARGIN, down * height + MARGIN), one)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _cell(canvas: Image.Image, corner: tuple[int, int], one: Tile) -> None:
    picture = _enlarged(one.pixels)
    left, top = corner
    draw = ImageDraw.Draw(canvas)
    frame = (left - 3, top - 3, left + picture.width + 2, top + picture.height + 2)
    draw.rectangle(frame, outline=RED if one.flagged else GREY, width=2)
    canvas.paste(picture, corner)
    name = printable(one.name).encode("ascii", "backslashreplace").decode()
    shown = name if len(name) <= LETTERS else "..." + name[3 - LETTERS :]
    head = printable(one.head).encode("ascii", "backslashreplace").decode()
    draw.text((left, top + SIDE + 3), f"{head}\n{shown}", fill=RED if one.flagged else BLACK)


def original(path: Path) -> Image.Image | None:
    """Return a small copy of an image file, its sides in proportion; None if it cannot be read any more."""
    try:
        with opened(path, IMAGE, links=False) as file, Image.open(file, formats=FORMATS) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            return exif_transpose(image).convert("RGB")
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error and more for damaged files
        return None


def _enlarged(image: Tensor | Image.Image) -> Image.Image:
    """Return an image as a picture; small ones are enlarged so that each pixel is a square."""
    picture = image if isinstance(image, Image.Image) else _picture(image)
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR)


def _picture(image: Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
