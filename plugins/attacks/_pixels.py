"""What several triggers share: the way back from floats to images, and putting a pattern in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 2**19
"""Values that a change on a CPU works on at a time: as floats they stay in its cache."""


def to_images(levels: Tensor) -> Tensor:
    """Return grey levels (float, nominally 0..255) as uint8 images: clamped, then rounded."""
    return levels.clamp(0, 255).round().to(torch.uint8)


def add(images: Tensor, levels: Tensor, kept: float = 1.0) -> Tensor:
    """Return ``kept * images + levels`` clipped to 0..255; ``levels``, in grey levels, broadcasts."""

    def added(part: Tensor, more: Tensor) -> Tensor:
        grey = part.float() if kept == 1 else kept * part
        return grey.add_(more).clamp_(0, 255).round_().to(torch.uint8)

    return blockwise(added, images, levels.to(images.device, torch.float32).expand(images.shape))


def blockwise(change: Callable[..., Tensor], images: Tensor, *others: Tensor) -> Tensor:
    """Apply a change that treats images one by one, a few images at a time on a CPU.

    Float copies of a whole data set are fresh memory, and its page faults take several times longer than the
    arithmetic. ``others`` have the length of ``images`` and are cut like them.
    """
    size = BLOCK // max(1, images[:1].numel()) if images.device.type == "cpu" else len(images)
    parts = (torch.split(tensor, max(1, size)) for tensor in (images, *others))
    return torch.cat([change(*few) for few in zip(*parts, strict=True)])


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
