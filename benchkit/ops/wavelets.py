"""The orthonormal Haar wavelet transform of images, one level, and its inverse."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bands(NamedTuple):
    """The four bands of one level, each (..., H / 2, W / 2): averages (``ll``) and details.

    Attributes:
        ll: sums of each 2 x 2 block, halved.
        lh: differences between its rows (horizontal edges): upper minus lower.
        hl: differences between its columns (vertical edges): left minus right.
        hh: differences between its diagonals.
    """

    ll: Tensor
    lh: Tensor
    hl: Tensor
    hh: Tensor


def haar2(x: Tensor) -> Bands:
    """Return one level of the two-dimensional Haar transform over the last two axes; differentiable.

    For each block ``[[a, b], [c, d]]``: ``ll = (a + b + c + d) / 2``, ``lh = (a + b - c - d) / 2``, ``hl = (a - b + c -
    d) / 2``, ``hh = (a - b - c + d) / 2`` (Haar, 1910; Mallat, 1989). It is orthonormal: the sum of squares stays.

    Args:
        x: real (..., H, W), both even; uint8 images are transformed as 0-255 values, in float32.

    Raises:
        ValueError: if a side is odd.
    """
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(f"a Haar transform needs even sides, got {height} x {width}: pad the images by one pixel")
    pixels = x if x.is_floating_point() else x.float()
    a, b = pixels[..., ::2, ::2], pixels[..., ::2, 1::2]
    c, d = pixels[..., 1::2, ::2], pixels[..., 1::2, 1::2]
    return Bands((a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2)


def ihaar2(bands: Bands) -> Tensor:
    """Return the inverse of :func:`haar2`: four bands (..., h, w) -> (..., 2 h, 2 w); differentiable."""
    ll, lh, hl, hh = bands
    left = torch.stack([ll + lh + hl + hh, ll - lh + hl - hh], -2) / 2
    right = torch.stack([ll + lh - hl - hh, ll - lh - hl + hh], -2) / 2
    # (..., h, 2, w) for even and for odd columns
    both = torch.stack([left, right], -1)
    return both.flatten(-2).flatten(-3, -2)
