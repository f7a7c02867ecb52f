"""The transformations of DeepSweep's two chains, on batches of float images in [0, 1], (N, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SHRUNKEN = 180 / 224
"""Side that images are resized to in between, as a share of their own."""
LARGE = 48
"""Pixels of the shorter side above which the median is over 5 x 5 pixels: it would wipe out a smaller image."""
SHIFT, SCALE, TURN = 0.16, 0.16, 4.0
"""Largest shift (share of a side), change of scale, and rotation in degrees."""
BENT = 0.05
"""Largest coefficient of the optical distortion, which moves a corner by 3.75 % of its distance from the centre."""
GROWN = 1.1
"""Side of the canvas, as a share of the image's."""
GAIN = 1.53
"""What the multiplicative noise multiplies by: the library that is used has one constant for all pixels."""
QUARTER = 0.25
DRAWN = 4
"""Numbers that a shift, scale and rotation need."""
MIXER = 0x2545F4914F6CDD1D
"""An odd number that spreads bits upwards."""
BITS = 2**24 - 1
"""Bits of a hash that make a float32 number."""


def median(images: Tensor) -> Tensor:
    """Return the median of each channel over 3 x 3 pixels, or 5 x 5 of large images; borders are mirrored."""
    reach = 1 if min(images.shape[2:]) <= LARGE else 2
    side = 2 * reach + 1
    padded = F.pad(images, [reach] * 4, mode="reflect")
    windows = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4)
    return windows.median(4).values


def resized(images: Tensor, share: float) -> Tensor:
    """Return images with sides of this share of their own, one pixel at least."""
    size = [max(1, round(share * side)) for side in images.shape[2:]]
    return restored(images, torch.Size(size))


def restored(images: Tensor, size: torch.Size) -> Tensor:
    """Return images of a size (H, W); as in the library that is used, nothing is smoothed first."""
    return F.interpolate(images, tuple(size), mode="bilinear", align_corners=False)


def coarse(images: Tensor) -> Tensor:
    """Return images of which each square of 4 x 4 pixels shows one of them."""
    size = [max(1, round(QUARTER * side)) for side in images.shape[2:]]
    return F.interpolate(F.interpolate(images, size, mode="nearest"), images.shape[2:], mode="nearest")


def gamma(images: Tensor, power: float) -> Tensor:
    """Return images to this power."""
    return images.clamp(0, 1) ** power


def keys(shape: tuple[int, int, int], rng: torch.Generator) -> Tensor:
    """Return the random numbers by which :func:`draws` tells images of a shape apart, int64 (4, C, H, W)."""
    return torch.randint(2**62, (DRAWN, *shape), generator=rng)


def draws(images: Tensor, by: Tensor) -> Tensor:
    """Return random numbers of each image, float32 (4, N) in [0, 1), that follow from its pixels and from ``by`` alone.

    Pixels are hashed in whole numbers, so that neither an image's batch nor the order of a sum changes its draw.
    """
    pixels = (255 * images).round().to(torch.int64) + 1
    hashed = torch.stack([(pixels * one).flatten(1).sum(1) for one in by.to(images.device)])
    mixed = (hashed ^ (hashed >> 31)) * MIXER  # else the same change to all images would shift all draws alike
    return (mixed >> 32 & BITS).float() / (BITS + 1)


def affine(drawn: Tensor) -> Tensor:
    """Return shifts, scales and rotations as matrices, float32 (N, 2, 3), by four numbers each, (4, N) in [0, 1)."""
    drawn = 2 * drawn - 1
    angle, scale = drawn[0] * math.radians(TURN), 1 + SCALE * drawn[1]
    down, across = 2 * SHIFT * drawn[2], 2 * SHIFT * drawn[3]  # the sampling grid is 2 wide
    rows = [
        torch.stack([angle.cos() / scale, -angle.sin() / scale, across], 1),
        torch.stack([angle.sin() / scale, angle.cos() / scale, down], 1),
    ]
    return torch.stack(rows, 1)


def moved(images: Tensor, matrices: Tensor) -> Tensor:
    """Return images moved by matrices (N, 2, 3); what comes from outside is black."""
    grid = F.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def bent(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images with an optical distortion of a strength of their own: barrel or cushion."""
    strength = (BENT * (2 * torch.rand(len(images), generator=rng) - 1)).to(images.device)
    still = torch.eye(2, 3, device=images.device).expand(len(images), -1, -1)
    grid = F.affine_grid(still, list(images.shape), align_corners=False)
    away = grid.square().sum(3, keepdim=True) / 4  # coordinates are -1 to 1, and those of the formula half of that
    bends = 1 + strength[:, None, None, None] * (away + away.square())
    return F.grid_sample(images, grid * bends, padding_mode="reflection", align_corners=False)


def grown(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images enlarged by 1 to 1.1 times on a black canvas of 1.1, each at a place of its own, in their size."""
    drawn = torch.rand(3, len(images), generator=rng)
    share = (1 + (GROWN - 1) * drawn[0]) / GROWN  # of the canvas
    down, across = (1 - share) * (2 * drawn[1:] - 1)
    none = torch.zeros_like(share)
    rows = [torch.stack([1 / share, none, -across / share], 1), torch.stack([none, 1 / share, -down / share], 1)]
    return moved(images, torch.stack(rows, 1))


def intensive(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images after the chain of the training, each image with draws of its own."""
    found = median(gamma(bent(images, rng), 0.6))
    found = median(coarse(gamma(found * GAIN, 2.6)))
    found = restored(median(resized(found, SHRUNKEN)), images.shape[2:])
    return moved(grown(found, rng), affine(torch.rand(DRAWN, len(images), generator=rng))).clamp(0, 1)


def light(images: Tensor, by: Tensor) -> Tensor:
    """Return images after the chain of the inference, each moved by a draw of its own: see :func:`draws`."""
    return moved(sieved(images), affine(draws(images, by))).clamp(0, 1)


def sieved(images: Tensor) -> Tensor:
    """Return images between two medians, before they are moved."""
    return restored(median(resized(median(images), SHRUNKEN)), images.shape[2:])
