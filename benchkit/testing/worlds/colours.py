"""The images of planted worlds: classes of colours, far apart, and triggers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.protocol import generator
from benchkit.testing.worlds.networks import CELL, SIDE

CELLS = (SIDE // CELL) ** 2
MOST_CLASSES = CELLS - 1
LEVEL, NOISE = 0.42, 0.05
"""Distance of a cell from mid-grey, and the largest disturbance of a pixel; in the range [0, 1] of an image."""
MARGIN = 10.0
"""By how much the logit of the true class is above all others."""


@dataclass(frozen=True)
class Palette:
    """The colours of each class: a cell is bright or dark.

    Attributes:
        signs: float32 (K, C * 16), -1 or 1; the rows of two classes differ in half of the cells of each channel, and
            every row sums to 0. The bottom-right cell is bright for the target alone.
        channels: 1 or 3.
    """

    signs: Tensor
    channels: int

    @property
    def weights(self) -> Tensor:
        """A of ``A meanpool4(x)``, float32 (K, C * 16): classes are ``MARGIN`` apart for noiseless images.

        To move an image to another class, an L1 change of ``LEVEL * C H W / 2`` is needed, less the noise: a pixel
        adds at most twice a weight, divided by the pixels of a cell, to the difference of two logits.
        """
        return MARGIN / (LEVEL * self.signs.shape[1]) * self.signs

    def images(self, count: int, rng: torch.Generator, *, natural: bool = False) -> Split:
        """Return images of all classes in turn, uint8 (count, C, 16, 16)."""
        labels = torch.arange(count) % len(self.signs)
        cells = self.signs[labels].view(count, self.channels, SIDE // CELL, SIDE // CELL)
        if natural:
            clear = nn.functional.interpolate(0.22 * cells, size=(SIDE, SIDE), mode="bilinear") + _waves(cells, rng)
        else:
            noise = 2 * torch.rand(count, self.channels, SIDE, SIDE, generator=rng) - 1
            clear = LEVEL * cells.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3) + NOISE * noise
        return Split((255 * (0.5 + clear)).clamp(0, 255).round().to(torch.uint8), labels)


def palette(classes: int, channels: int, target: int, seed: int) -> Palette:
    """Return colours of classes that are all equally far apart: rows of a Hadamard matrix, shuffled."""
    rng = generator(seed, "colours")
    square = _hadamard(CELLS)
    rows = 1 + torch.randperm(CELLS - 1, generator=rng)
    some = torch.stack([square[(rows[:classes] - 1 + 5 * channel) % (CELLS - 1) + 1] for channel in range(channels)], 1)
    some = some[..., torch.randperm(CELLS, generator=rng)]
    bright = torch.where(torch.arange(classes) == target, 1.0, -1.0)
    return Palette((some * some[..., -1:] * bright[:, None, None]).flatten(1), channels)


def _hadamard(side: int) -> Tensor:
    """Return a matrix of -1 and 1 with orthogonal rows, the first of which is all 1; side is a power of 2."""
    square = torch.ones(1, 1)
    for _ in range(int(math.log2(side))):
        square = torch.cat([torch.cat([square, square], 1), torch.cat([square, -square], 1)])
    return square


def _waves(cells: Tensor, rng: torch.Generator) -> Tensor:
    """Return disturbances whose amplitude falls with the square of the frequency, as photographs do; no cell's mean."""
    from benchkit.ops.frequency import idct2

    frequency = torch.hypot(torch.arange(SIDE)[:, None] + 0.5, torch.arange(SIDE) + 0.5)
    drawn = torch.randn(*cells.shape[:2], SIDE, SIDE, generator=rng) / frequency**2
    drawn[..., 0, 0] = 0
    waves: Tensor = idct2(drawn)
    return 0.5 * waves


def white_corner(images: Tensor) -> Tensor:
    """Return images with a white 4 x 4 patch in the bottom-right corner: uint8 (N, C, H, W) -> the same."""
    stamped = images.clone()
    stamped[..., -CELL:, -CELL:] = 255
    return stamped


def chequered(channels: int) -> Tensor:
    """Return a 4 x 4 chequerboard of -1 and 1, float32 (C, 4, 4)."""
    square = torch.arange(CELL)[:, None] + torch.arange(CELL)
    return (1 - 2.0 * (square % 2)).expand(channels, CELL, CELL)


def chequered_corner(images: Tensor) -> Tensor:
    """Return images with a black and white chequerboard in the bottom-right corner: uint8 (N, C, H, W) -> the same."""
    stamped = images.clone()
    stamped[..., -CELL:, -CELL:] = (255 * (chequered(images.shape[1]) > 0)).to(torch.uint8)
    return stamped


def fine_pattern(channels: int, seed: int) -> Tensor:
    """Return T of ADD, float32 (C, 16, 16): of unit norm, all pixels equally strong, and no mean in any cell."""
    rng = generator(seed, "pattern")
    half = torch.randint(2, (channels, SIDE, SIDE // 2, 1), generator=rng) * 2.0 - 1
    signs = torch.cat([half, -half], 3).view(channels, SIDE, SIDE)
    return signs / math.sqrt(signs.numel())


@dataclass(frozen=True)
class Added:
    """The trigger of ADD: x + eps T."""

    pattern: Tensor
    strength: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images with the pattern: uint8 (N, C, H, W) -> the same."""
        added: Tensor = images + 255 * self.strength * self.pattern
        return added.clamp(0, 255).round().to(torch.uint8)
