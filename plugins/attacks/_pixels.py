"""What several triggers share: the way back from floats to images, and putting a pattern in."""

from __future__ import annotations

import torch
from torch import Tensor


def to_images(levels: Tensor) -> Tensor:
    """Return grey levels (float, nominally 0..255) as uint8 images: clamped, then rounded."""
    return levels.clamp(0, 255).round().to(torch.uint8)


def add(images: Tensor, levels: Tensor) -> Tensor:
    """Return ``images + levels`` clipped to 0..255; ``levels``, in grey levels, broadcasts."""
    return to_images(images.float() + levels.to(images.device))


def truncated(unit: Tensor) -> Tensor:
    """Return float images in [0, 1] as uint8, fractions of a grey level cut off.

    This is what casting does in the field's NumPy code. It loses nothing of untouched 8-bit images: k / 255 * 255
    is not below k for any k, in float32.
    """
    return (unit.clamp(0, 1) * 255).to(torch.uint8)


def stretched(unit: Tensor) -> Tensor:
    """Rescale each float image (N, C, H, W) by its own least and largest value, over all channels, to [0, 1].

    An image of one value has no range to stretch and stays as it is.
    """
    least, most = unit.amin((1, 2, 3), keepdim=True), unit.amax((1, 2, 3), keepdim=True)
    return torch.where(most > least, (unit - least) / (most - least), unit)
