"""A cartoon robot on a pale ground, drawn from a table of outlined shapes at any size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Shape = tuple[str, float, float, float, float, str]

OUTLINE = 0.026
COLOURS = {
    "ground": (1.0, 0.98, 0.92),
    "grass": (0.6, 0.95, 0.5),
    "sun": (1.0, 0.9, 0.3),
    "steel": (0.98, 0.99, 1.0),
    "coat": (1.0, 0.45, 0.5),
    "glass": (0.5, 0.9, 1.0),
    "ink": (0.0, 0.0, 0.0),
}
# kind, centre row, centre column, half height, half width (shares of the side), colour; painted in order.
SHAPES: tuple[Shape, ...] = (
    ("box", 0.98, 0.50, 0.10, 0.60, "grass"),
    ("disc", 0.14, 0.86, 0.13, 0.13, "sun"),
    ("box", 0.08, 0.45, 0.08, 0.015, "ink"),
    ("disc", 0.05, 0.45, 0.05, 0.05, "coat"),
    ("box", 0.84, 0.32, 0.11, 0.07, "steel"),
    ("box", 0.84, 0.58, 0.11, 0.07, "steel"),
    ("box", 0.62, 0.45, 0.15, 0.25, "coat"),
    ("box", 0.58, 0.13, 0.05, 0.10, "steel"),
    ("box", 0.58, 0.77, 0.05, 0.10, "steel"),
    ("box", 0.31, 0.45, 0.18, 0.30, "steel"),
    ("disc", 0.28, 0.32, 0.08, 0.08, "glass"),
    ("disc", 0.28, 0.58, 0.08, 0.08, "glass"),
    ("box", 0.43, 0.45, 0.02, 0.16, "coat"),
    ("disc", 0.62, 0.45, 0.07, 0.07, "sun"),
)


def _box(rows: Tensor, columns: Tensor) -> Tensor:
    return torch.maximum(rows.abs(), columns.abs()) <= 1


def _disc(rows: Tensor, columns: Tensor) -> Tensor:
    return rows.square() + columns.square() <= 1


INSIDE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"box": _box, "disc": _disc}


def _covers(shape: Shape, grow: float, rows: Tensor, columns: Tensor) -> Tensor:
    kind, row, column, half_height, half_width, _ = shape
    return INSIDE[kind]((rows - row) / (half_height + grow), (columns - column) / (half_width + grow))


def cartoon(channels: int, height: int, width: int) -> Tensor:
    """Return the picture, float32 (channels, height, width) in [0, 1]; other than 3 channels are grey.

    Edges are hard at every size: a pixel takes the colour at its centre.
    """
    rows = ((torch.arange(height) + 0.5) / height)[:, None]
    columns = (torch.arange(width) + 0.5) / width
    paint = {name: torch.tensor(rgb)[:, None, None] for name, rgb in COLOURS.items()}
    picture = paint["ground"].expand(3, height, width)
    for shape in SHAPES:
        picture = torch.where(_covers(shape, OUTLINE, rows, columns), paint["ink"], picture)
        picture = torch.where(_covers(shape, 0.0, rows, columns), paint[shape[-1]], picture)
    return picture if channels == 3 else picture.mean(0).expand(channels, height, width)
