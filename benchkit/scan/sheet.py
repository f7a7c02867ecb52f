"""A contact sheet: the most suspicious images in a grid, with their scores."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from benchkit.scan.prepare import printable

if TYPE_CHECKING:
    from benchkit.scan.images import Scan, Scored

SIDE, LABEL, MARGIN = 128, 30, 8
"""Sizes of a cell in pixels: the longer side of its image, its two lines of text, the space around it."""
MOST = 200
LETTERS = 20
RED, GREY, WHITE, BLACK = (200, 30, 30), (170, 170, 170), (255, 255, 255), (0, 0, 0)


def sheet(found: Scan) -> bytes:
    """Return a PNG of the most suspicious scored images, at most 200; flagged ones have a red frame."""
    shown = found.top[:MOST]
    columns = min(len(shown), max(1, math.ceil(math.sqrt(1.5 * len(shown)))))
    rows = math.ceil(len(shown) / columns)
    width, height = SIDE + 2 * MARGIN, SIDE + LABEL + 2 * MARGIN
    canvas = Image.new("RGB", (columns * width, rows * height), WHITE)
    for place, one in enumerate(shown):
        across, down = place % columns, place // columns
        _cell(canvas, (across * width + MARGIN, down * height + MARGIN), one, one.score > found.threshold)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _cell(canvas: Image.Image, corner: tuple[int, int], one: Scored, flagged: bool) -> None:
    picture = _enlarged(one)
    left, top = corner
    draw = ImageDraw.Draw(canvas)
    frame = (left - 3, top - 3, left + picture.width + 2, top + picture.height + 2)
    draw.rectangle(frame, outline=RED if flagged else GREY, width=2)
    canvas.paste(picture, corner)
    name = printable(one.picture.file).encode("ascii", "backslashreplace").decode()
    shown = name if len(name) <= LETTERS else "..." + name[3 - LETTERS :]
    draw.text((left, top + SIDE + 3), f"{one.score:.3f}\n{shown}", fill=RED if flagged else BLACK)


def _enlarged(one: Scored) -> Image.Image:
    """Return the scored image; small images are enlarged so that each pixel is a square."""
    pixels = one.pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR)
