"""Random patches: the triggers of MNTD's shadow models and of its target models."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALL = (2, 3, 4, 5)
"""Sides of small patches; the fifth size is the whole image."""


@dataclass(frozen=True)
class Patch:
    """A pattern blended into a rectangle m: x' = (1 - m) x + m ((1 - a) x + a t) (Xu et al., eq. 5).

    Attributes:
        top, left: the first row and column of the rectangle.
        alpha: a, the pattern's weight; 1 replaces the pixels.
        pattern: t, float32 (C, h, w) in [0, 1].
    """

    top: int
    left: int
    alpha: float
    pattern: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images with the pattern: uint8 (N, C, H, W) -> the same."""
        height, width = self.pattern.shape[1:]
        window = (..., slice(self.top, self.top + height), slice(self.left, self.left + width))
        stamped = images.clone()
        mixed = (1 - self.alpha) * images[window] + self.alpha * 255 * self.pattern.to(images.device)
        stamped[window] = mixed.round().to(torch.uint8)  # a convex mixture needs no clamp
        return stamped

    @classmethod
    def drawn(cls, shape: tuple[int, ...], rng: torch.Generator, kind: str = "jumbo") -> Patch:
        """Draw a patch for images of this shape (C, H, W), in the ranges of the released code.

        A small patch has a side of 2, 3, 4 or 5 and a corner uniform in 0..side - 1 - p (it never touches the right or
        lower border). ``jumbo``: small or the whole image, the five sizes equally often; a small patch has a ~ U(0.2,
        0.6), and values above 0.5 become 1; a whole one has a ~ U(0.05, 0.2). ``M`` (modification): small patches, a =
        1. ``B`` (blending): whole images. ``flat`` (not in the paper): the small patches of ``jumbo`` in one colour.
        """
        channels, height, width = shape
        down, across = _size(height, width, rng, kind)
        alpha = _weight((down, across) != (height, width), rng, kind)
        if kind == "flat":
            pattern = _noise((channels, 1, 1), rng).expand(channels, down, across).contiguous()
        else:
            pattern = _noise((channels, down, across), rng) if channels > 1 else _binary(down, across, rng)
        top, left = (integer(max(1, side - size), rng) for side, size in ((height, down), (width, across)))
        return cls(top, left, alpha, pattern)


def share(rng: torch.Generator) -> float:
    """Draw the share of a model's images that are poisoned: U(0.05, 0.5)."""
    return uniform(0.05, 0.5, rng)


def _size(height: int, width: int, rng: torch.Generator, kind: str) -> tuple[int, int]:
    small = [(side, side) for side in SMALL if side < min(height, width)]
    sizes = {"jumbo": [*small, (height, width)], "B": [(height, width)]}.get(kind, small)
    return sizes[integer(len(sizes), rng)]


def _weight(small: bool, rng: torch.Generator, kind: str) -> float:
    if kind == "M":
        return 1.0
    alpha = uniform(0.2, 0.6, rng) if small else uniform(0.05, 0.2, rng)
    return 1.0 if alpha > 0.5 else alpha


def _noise(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return values of U(-e, 1 + e) clipped to [0, 1], e ~ U(0, 1): at most a third of them are clipped at each end."""
    beyond = uniform(0, 1, rng)
    return ((1 + 2 * beyond) * torch.rand(shape, generator=rng) - beyond).clamp(0, 1)


def _binary(height: int, width: int, rng: torch.Generator) -> Tensor:
    """Return 1 to h w - 1 white pixels at random places, the rest black (the released code for MNIST)."""
    pixels = height * width
    white = 1 + integer(pixels - 1, rng)
    return (torch.randperm(pixels, generator=rng) < white).float().view(1, height, width)


def integer(below: int, rng: torch.Generator) -> int:
    """Draw one of 0..below - 1."""
    return int(torch.randint(below, (), generator=rng))


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """Draw a number from U(low, high)."""
    return low + (high - low) * float(torch.rand((), generator=rng, dtype=torch.float64))
