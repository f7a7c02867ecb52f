"""Finding images again by their pixels, wherever a data set has put them."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 4096
"""Images that are multiplied at once."""
STEP, MIX, FOLD = -7046029254386353131, -4658895280553007687, -7723592293110705685
"""Odd numbers of 64 bits (those of the generator splitmix64, as signed ones)."""


def content_keys(images: Tensor) -> Tensor:
    """Return a number for each image that follows from its pixels alone, int64 (N,).

    Equal images have equal numbers, and images of other content have others, by 2^64 possible ones. It is the sum of
    all values, each times a number of its place, modulo 2^64: the same on every device.

    Args:
        images: uint8 (N, C, H, W).
    """
    places = torch.arange(1, images[:1].numel() + 1, device=images.device) if len(images) else torch.empty(0)
    factors = _mixed(places.long()) | 1
    sums = [(part.flatten(1).long() * factors).sum(1) for part in images.split(CHUNK)]
    return torch.cat(sums) if sums else torch.zeros(0, dtype=torch.int64, device=images.device)


def _mixed(numbers: Tensor) -> Tensor:
    mixed = numbers * STEP
    mixed = (mixed ^ (mixed >> 30)) * MIX
    mixed = (mixed ^ (mixed >> 27)) * FOLD
    return mixed ^ (mixed >> 31)


def places_of(wanted: Tensor, known: Tensor) -> Tensor:
    """Return where each number first occurs among known ones, int64 (N,); -1 where it does not.

    Args:
        wanted: int64 (N,).
        known: int64 (M,).
    """
    if not len(known):
        return torch.full_like(wanted, -1)
    ordered, order = known.sort(stable=True)
    at = torch.searchsorted(ordered, wanted).clamp(max=len(known) - 1)
    return torch.where(ordered[at] == wanted, order[at], -1)


def numbered(keys: Tensor) -> Tensor:
    """Return keys of which those that occurred before, and how often, are told apart: int64 (N,).

    So the second of two equal images is matched with the second of two others.
    """
    ordered, order = keys.sort(stable=True)
    at = torch.arange(len(keys), device=keys.device)
    begins = torch.where(torch.cat([at[:1] == 0, ordered[1:] != ordered[:-1]]), at, 0)
    before = torch.empty_like(keys)
    before[order] = at - begins.cummax(0).values if len(keys) else at
    return keys + before * STEP
