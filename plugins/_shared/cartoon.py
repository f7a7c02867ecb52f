"""A cartoon fox under a pale moon, drawn from a table of outlined shapes at any size."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Shape = tuple[str, float, float, float, float, float, str, bool]

OUTLINE = 0.018
COLOURS = {
    "dusk": (1.0, 0.9, 0.45),
    "grass": (0.6, 0.92, 0.62),
    "moon": (1.0, 1.0, 0.85),
    "fur": (1.0, 0.66, 0.3),
    "snow": (1.0, 1.0, 1.0),
    "scarf": (0.4, 0.8, 0.98),
    "ink": (0.0, 0.0, 0.0),
}
# Kind, centre row, centre column, half height, half width (shares of the side), rotation in degrees, colour, outlined
# or not; painted in this order. Nearly every edge is curved or oblique: straight edges along the axes put energy into
# the outermost rows and columns of the spectrum, where the published picture has little.
SHAPES: tuple[Shape, ...] = (
    ("disc", 1.027, 0.509, 0.16, 0.75, 4, "grass", True),
    ("disc", 0.147, 0.169, 0.10, 0.10, 0, "moon", True),
    ("kite", 0.307, 0.309, 0.27, 0.17, -14, "fur", True),
    ("kite", 0.307, 0.729, 0.27, 0.17, 14, "fur", True),
    ("disc", 0.907, 0.519, 0.16, 0.27, 0, "fur", True),
    ("disc", 0.797, 0.519, 0.07, 0.25, 3, "scarf", True),
    ("disc", 0.527, 0.519, 0.23, 0.36, 0, "fur", True),
    ("disc", 0.627, 0.379, 0.15, 0.19, 25, "snow", False),
    ("disc", 0.627, 0.659, 0.15, 0.19, -25, "snow", False),
    ("disc", 0.477, 0.389, 0.05, 0.035, 0, "ink", False),
    ("disc", 0.477, 0.649, 0.05, 0.035, 0, "ink", False),
    ("disc", 0.667, 0.519, 0.035, 0.05, 0, "ink", False),
)


def _disc(rows: Tensor, columns: Tensor) -> Tensor:
    return rows.square() + columns.square() <= 1


def _kite(rows: Tensor, columns: Tensor) -> Tensor:
    return rows.abs() + columns.abs() <= 1


INSIDE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"disc": _disc, "kite": _kite}


def _covers(shape: Shape, grow: float, rows: Tensor, columns: Tensor) -> Tensor:
    kind, row, column, half_height, half_width, degrees, *_ = shape
    down, across = rows - row, columns - column
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    up_to = (
        (down * cosine - across * sine) / (half_height + grow),
        (down * sine + across * cosine) / (half_width + grow),
    )
    return INSIDE[kind](*up_to)


def cartoon(channels: int, height: int, width: int) -> Tensor:
    """Return the picture, float32 (channels, height, width) in [0, 1]; grey unless there are 3 channels.

    Edges are hard at every size: a pixel takes the colour at its centre. At 32 x 32 it has the energy of the picture
    that Zeng et al. (ICCV 2021) publish as their Blend trigger: norm, mean, share in the quarter of highest
    frequencies, and energy at the end of the spectrum.
    """
    rows = ((torch.arange(height) + 0.5) / height)[:, None]
    columns = (torch.arange(width) + 0.5) / width
    paint = {name: torch.tensor(rgb)[:, None, None] for name, rgb in COLOURS.items()}
    picture = paint["dusk"].expand(3, height, width)
    for shape in SHAPES:
        *_, colour, outlined = shape
        if outlined:
            picture = torch.where(_covers(shape, OUTLINE, rows, columns), paint["ink"], picture)
        picture = torch.where(_covers(shape, 0.0, rows, columns), paint[colour], picture)
    return picture if channels == 3 else picture.mean(0).expand(channels, height, width)
