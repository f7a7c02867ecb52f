"""The masks of the triggers of Zeng et al. (ICCV 2021, table 1), at any size: a square, a watermark and a mug."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CANVAS = 224
"""Side, in pixels, at which Liu et al. draw their watermark; for smaller images it is shrunk like a picture."""
STROKE = 0.6
"""Width of the watermark's lines in 32nds of the side; they cover 7.2 % of the canvas, as the published ones."""


def box_of(mask: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest box that contains every pixel above 0 of a mask (H, W)."""
    rows, columns = ((mask > 0).any(axis).nonzero().squeeze(1) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def square(height: int, width: int) -> Tensor:
    """Return the square's mask, float32 (height, width): pixels 145..203 of 224, scaled (21..29 of 32)."""
    mask = torch.zeros(height, width)
    rows, columns = (slice(144 * side // 224 + 1, math.ceil(204 * side / 224)) for side in (height, width))
    mask[rows, columns] = 1
    return mask


def watermark(height: int, width: int) -> Tensor:
    """Return the watermark's mask, float32 (height, width) in [0, 1]: two rings and an outlined anti-diagonal stroke.

    Its lines cover 7.2 % of an image of 224 pixels. At 32 pixels they are thinner than a pixel and the mask is soft:
    329 of 1024 pixels are above 0, in rows and columns 0..29 (321 in the picture published at that size, in the same
    rows and columns). The largest value is 1 at every size.
    """
    rows, columns = grid(max(height, CANVAS), max(width, CANVAS))
    radius = torch.hypot(rows - 21, columns - 21)
    stroke = ((rows + columns - 29.8).abs() / math.sqrt(2) - 2).abs()
    inside = (torch.minimum(rows, columns) >= 0.6) & (torch.maximum(rows, columns) <= 29.2)
    near = torch.stack(((radius - 6).abs(), (radius - 2).abs(), torch.where(inside, stroke, math.inf)))
    lines = (near <= STROKE / 2).any(0).float()
    shrunk = F.interpolate(lines[None, None], size=(height, width), mode="bilinear", antialias=True)[0, 0]
    return shrunk / shrunk.max()


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return rows (height, 1) and columns (1, width) of pixel centres, in 32nds of the sides."""
    rows, columns = ((torch.arange(side) + 0.5) * 32 / side for side in (height, width))
    return rows[:, None], columns[None]


def mug(height: int, width: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return a mug's mask, bool (height, width), and its brightness around a mean of 1, float32 (height, width).

    It is in the lower right corner: rows 18..29, columns 17..30 of 32, 121 pixels; a pixel belongs to the mug if its
    centre does. The body is a shaded cylinder with a dark opening, a highlight, and a chequered lower part with squares
    of a 32nd of the side: a photograph shrunk to 32 pixels also has details of single pixels. ``scale`` stretches the
    sides and keeps the corner at row 30 and column 31 (of 32) fixed.
    """
    rows, columns = grid(height, width)
    rows, columns = 30 + (rows - 30) / scale, 31 + (columns - 31) / scale
    across, down = (columns - 21.5) / 4.5, (rows - 24) / 6
    body = (down.abs() <= 1) & (across**4 + down.clamp(min=0) ** 4 <= 0.9)
    ring = torch.hypot((columns - 26) / 5, (rows - 23.5) / 4)
    hole = torch.hypot((columns - 26) / 3.6, (rows - 23.5) / 2)
    handle = (ring <= 1) & (hole > 1) & (columns >= 26)
    chequers = ((rows.floor() + columns.floor()) % 2 == 0) & (rows >= 25)
    brightness = torch.where(chequers, 0.68, _glaze(across, down))
    return body | handle, torch.where(body, brightness, 0.9).expand(height, width)


def _glaze(across: Tensor, down: Tensor) -> Tensor:
    """Return the brightness of the mug's body, at positions in -1..1 from left to right and from top to bottom."""
    shade = 1.12 - 0.35 * (across + 0.3).square()
    opening = (down < -0.72) & (across.abs() < 0.8)
    gloss = (across + 0.45).abs() < 0.12
    lit = torch.where(gloss & (down.abs() < 0.6), 1.33, shade)
    return torch.where(opening, 0.65, lit)
