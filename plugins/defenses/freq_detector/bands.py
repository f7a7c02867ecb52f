"""The power of an image's DCT in frequency bands: few features, for classifiers that learn from few images."""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor

BANDS = 12
"""Maximum number of bands per axis; small images have fewer, because a band is at least one frequency wide."""
POWER_FLOOR = 0.01
"""Added before the logarithm. Rounding to 8 bits alone gives each coefficient a power of 0.083."""


def edges(side: int) -> list[int]:
    """Return the starts of the bands of an axis, and its end: 0, 1, 2, 5, 8, 12, ..., 150, 224 for 224 pixels.

    The first band is one frequency wide, and each next one is wider by the same factor. So the mean along an axis
    (frequency 0) is a separate band, in which the edges of an axis-aligned block are visible.
    """
    factor = (side / 2 + 1) ** (1 / BANDS)
    return sorted({round(2 * (factor**number - 1)) for number in range(BANDS + 1)})


@functools.cache
@torch.inference_mode(mode=False)  # cached: a tensor created in inference mode would forbid gradients later
def _averaging(side: int, device: torch.device) -> Tensor:
    """Return the matrix (bands, side) that averages each band."""
    at = edges(side)
    means = torch.zeros(len(at) - 1, side)
    for row, (first, end) in zip(means, itertools.pairwise(at), strict=True):
        row[first:end] = 1 / (end - first)
    return means.to(device)


def band_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape of the bands of one image of shape (C, H, W)."""
    channels, height, width = shape
    return channels * (channels + 1) // 2, len(edges(height)) - 1, len(edges(width)) - 1


def band_powers(coefficients: Tensor) -> Tensor:
    """Return ln(mean power + 0.01) in each band: float32 (N, P, B, B') of coefficients (N, C, H, W).

    The P planes are the channels and the differences of each pair of channels: pasted objects have colour edges, which
    photographs hardly have at high frequencies.
    """
    pairs = list(itertools.combinations(coefficients.unbind(1), 2))
    planes = [*coefficients.unbind(1), *(one - other for one, other in pairs)]
    height, width = coefficients.shape[-2:]
    down, across = (_averaging(side, coefficients.device) for side in (height, width))
    powers = [down @ plane.square() @ across.T for plane in planes]
    return torch.stack(powers, 1).add_(POWER_FLOOR).log_()
