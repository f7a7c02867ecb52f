"""Arithmetic on batches of images that attacks and defenses share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per channel, float32 (C,), of uint8 images (N, C, H, W) scaled to [0, 1]."""
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    counts = torch.stack([band.flatten().bincount(minlength=256) for band in images.unbind(1)]).double()
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    spread = (share * (levels - mean[:, None]) ** 2).sum(1).sqrt()
    return mean.float(), spread.clamp(min=1e-3).float()


BLOCK = 2**17
"""Values that a change on a CPU works on at a time: as floats they stay in its cache."""


def to_bytes(levels: Tensor) -> Tensor:
    """Return float levels from 0 to 255 as uint8, fractions cut off.

    On a CPU torch takes five times as long for this conversion in one step as by way of int16.
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
    # Bytes that cannot overflow take an eighth of the time of floats that are clipped and rounded.
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
    """Apply a change that treats images one by one, and gives images again, a few at a time on a CPU.

    Copies of a whole data set are fresh memory, and its page faults take several times longer than the arithmetic.
    ``others`` have the length of ``images`` and are cut like them.
    """
    if images.device.type != "cpu":
        return change(images, *others)
    size, changed = max(1, BLOCK // max(1, images[:1].numel())), torch.empty_like(images)
    for into, *few in zip(*(torch.split(tensor, size) for tensor in (changed, images, *others)), strict=True):
        into.copy_(change(*few))
    return changed


def truncated(unit: Tensor) -> Tensor:
    """Return float images within [0, 1] as uint8, fractions of a grey level cut off.

    This is what casting does in the field's NumPy code. It loses nothing of untouched 8-bit images: k / 255 * 255
    is not below k for any k, in float32.
    """
    return to_bytes(unit * 255)


def stretched(unit: Tensor) -> Tensor:
    """Rescale each float image (N, C, H, W) by its own least and largest value, over all channels, to [0, 1].

    An image of one value has no range to stretch and stays as it is, at most 1.
    """
    least, most = unit.amin((1, 2, 3), keepdim=True), unit.amax((1, 2, 3), keepdim=True)
    ranges = most > least
    return (unit - torch.where(ranges, least, 0.0)).div_(torch.where(ranges, most - least, most.clamp(min=1)))
