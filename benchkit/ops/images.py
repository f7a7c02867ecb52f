"""Arithmetic on batches of images that attacks and defenses share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, float32 (C,), of uint8 images (N, C, H, W) scaled to [0, 1]."""
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    counts = torch.stack([band.flatten().bincount(minlength=256) for band in images.unbind(1)]).double()
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    spread = (share * (levels - mean[:, None]) ** 2).sum(1).sqrt()
    return mean.float(), spread.clamp(min=1e-3).float()


BLOCK = 2**17
"""Values per block on a CPU: as floats they fit into its cache."""


def to_bytes(levels: Tensor) -> Tensor:
    """Return float levels from 0 to 255 as uint8, truncated.

    On a CPU, the direct conversion in torch takes five times as long as the one via int16.
    """
    return levels.to(torch.int16).to(torch.uint8)


def to_images(levels: Tensor) -> Tensor:
    """Return grey levels (float, nominally 0..255) as uint8 images: clamped, then rounded."""
    return to_bytes(levels.clamp(0, 255).round_())


def add(images: Tensor, levels: Tensor) -> Tensor:
    """Return the sum of uint8 images and ``levels``, rounded to whole grey levels, clipped to 0..255.

    Args:
        levels: grey levels, of either sign and any size; broadcast to the images.
    """
    whole = levels.to(images.device).round()
    # Bytes without overflow take an eighth of the time of floats with clipping and rounding.
    up, down = (way.clamp(0, 255).to(torch.uint8).expand(images.shape) for way in (whole, -whole))

    def brightened(part: Tensor, more: Tensor) -> Tensor:
        return torch.minimum(~part, more).add_(part)

    def moved(part: Tensor, more: Tensor, less: Tensor) -> Tensor:
        return brightened(part, more).sub_(torch.minimum(part, less))

    return blockwise(moved, images, up, down) if (whole < 0).any() else blockwise(brightened, images, up)


def mix(images: Tensor, levels: Tensor, kept: float) -> Tensor:
    """Return ``kept * images + levels`` as uint8 images; ``levels``, in grey levels, broadcasts."""

    def mixed(part: Tensor, more: Tensor) -> Tensor:
        return to_bytes((kept * part).add_(more).clamp_(0, 255).round_())

    return blockwise(mixed, images, levels.to(images.device, torch.float32).expand(images.shape))


def blockwise(change: Callable[..., Tensor], images: Tensor, *others: Tensor) -> Tensor:
    """Apply a function that treats each image separately and returns images, in small blocks on a CPU.

    A copy of a whole dataset is new memory, and its page faults take several times longer than the arithmetic.
    ``others`` have the length of ``images`` and are split like them.
    """
    if images.device.type != "cpu":
        return change(images, *others)
    size, changed = max(1, BLOCK // max(1, images[:1].numel())), torch.empty_like(images)
    for into, *few in zip(*(torch.split(tensor, size) for tensor in (changed, images, *others)), strict=True):
        into.copy_(change(*few))
    return changed


def truncated(unit: Tensor) -> Tensor:
    """Return float images in [0, 1] as uint8, truncated to whole grey levels.

    This is the effect of casting in the usual NumPy code. It does not change 8-bit images: in float32, k / 255 * 255
    is not below k for any k.
    """
    return to_bytes(unit * 255)


def stretched(unit: Tensor) -> Tensor:
    """Rescale each float image (N, C, H, W) by its own minimum and maximum, over all channels, to [0, 1].

    A constant image has no range to stretch and is only scaled down to at most 1.
    """
    least, most = unit.amin((1, 2, 3), keepdim=True), unit.amax((1, 2, 3), keepdim=True)
    ranges = most > least
    return (unit - torch.where(ranges, least, 0.0)).div_(torch.where(ranges, most - least, most.clamp(min=1)))
