"""Copies with smooth and low-pass-filtered triggers: the detector's upgrade (Zeng et al., ICCV 2021, Section 5.4)."""

from __future__ import annotations

import torch
from benchkit_plugins._shared.dome import eigen_dome
from torch import Tensor

from benchkit.ops.frequency import low_pass
from benchkit.ops.images import stretched, truncated

AMPLITUDE = 0.2
BATCH_VALUES = 1 << 22
"""Pixel values per batch (1,365 images of 3 x 32 x 32)."""


def smooth_copies(images: Tensor, kind: str, rng: torch.Generator) -> Tensor:
    """Return a copy of every image with its own trigger, inserted like that of the smooth attack.

    The sum of image and trigger is rescaled to 0..1 by its own minimum and maximum and truncated to 8 bits.

    Args:
        images: uint8 (N, C, H, W).
        kind: ``dome`` (the pattern to which the paper's Algorithm 1 converges, in random colours) or ``filtered``
            (blocks of noise through the low-pass filter). Each trigger spans 0 to 0.2 of white.
        rng: a CPU generator.
    """
    make = _domes if kind == "dome" else _filtered
    out = torch.empty_like(images)
    step = max(1, BATCH_VALUES // images[0].numel())
    for start in range(0, len(images), step):
        part = images[start : start + step]
        triggers = AMPLITUDE * stretched(make(part.shape, rng)).to(images.device)
        out[start : start + step] = truncated(stretched(part / 255 + triggers))
    return out


def _domes(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Return domes in colours uniform in [0, 1]^C, float32 (N, C, H, W)."""
    count, channels, height, width = shape
    return torch.rand(count, channels, 1, 1, generator=rng) * eigen_dome(height, width)


def _filtered(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Return blocks of noise after the filter, float32 (N, C, H, W): sides from a quarter to all, anywhere."""
    down, across = (_spans(shape[0], size, rng) for size in shape[2:])
    return low_pass(torch.rand(shape, generator=rng) * down[:, None, :, None] * across[:, None, None, :])


def _spans(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Return which of ``size`` positions a block covers, bool (count, size)."""
    shortest = size // 4
    length = shortest + (torch.rand(count, 1, generator=rng) * (size - shortest + 1)).long()
    first = (torch.rand(count, 1, generator=rng) * (size - length + 1)).long()
    position = torch.arange(size)
    return (position >= first) & (position < first + length)
