"""Features that no training set has a part in, as whole numbers, so that distances between them are exact."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

BINS, STEPS = 9, 100
"""Orientations of a histogram, and steps that a feature between 0 and 1 is rounded to."""
CHUNK = 500
"""Images whose histograms are in memory at a time, a hundred bytes a pixel."""


def pixels(images: Tensor) -> Tensor:
    """Return the grey levels of uint8 images (N, C, H, W): float64 (N, C H W), whole numbers."""
    return images.flatten(1).double()


def gradients(images: Tensor) -> Tensor:
    """Return histograms of oriented gradients of uint8 images (N, C, H, W): float64 (N, F), whole numbers 0 to 100."""
    return torch.cat([(hog(part) * STEPS).round().double() for part in images.split(CHUNK)])


def hog(images: Tensor) -> Tensor:
    """Return histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of images (N, C, H, W), float32 (N, F).

    Each pixel counts with the channel whose gradient is steepest, in one of nine orientations from 0 to 180 degrees.
    Histograms of cells of an eighth of the image's side, 4 pixels or more, are normalised in blocks of 2 x 2.
    """
    down, across = _steepest(images.float())
    angles = torch.rad2deg(torch.atan2(down, across)) % 180
    bins = (angles / (180 / BINS)).long().clamp(max=BINS - 1)
    weighed = one_hot(bins, BINS).permute(0, 3, 1, 2) * torch.hypot(down, across)[:, None]
    cells = avg_pool2d(weighed, [max(4, side // 8) for side in images.shape[2:]])  # (N, BINS, rows, columns)
    height, width = (min(2, side) for side in cells.shape[2:])
    blocks = cells.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 4, 5, 1).flatten(3)
    return (blocks / (blocks.square().sum(3, keepdim=True) + 1e-10).sqrt()).flatten(1)


def _steepest(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences down and across, (N, H, W), of the channel in which they are largest; 0 at borders."""
    down, across = torch.zeros_like(levels), torch.zeros_like(levels)
    down[:, :, 1:-1] = levels[:, :, 2:] - levels[:, :, :-2]
    across[..., 1:-1] = levels[..., 2:] - levels[..., :-2]
    channel = torch.hypot(down, across).argmax(1, keepdim=True)
    return down.gather(1, channel).squeeze(1), across.gather(1, channel).squeeze(1)


FEATURES = {"hog": gradients, "pixels": pixels}
UNITS = {"hog": STEPS, "pixels": 255}
"""How many steps of each feature are one unit of distance."""
