"""Small squares pasted into images, at one place in all or at another in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def paste(images: Tensor, patch: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Return a copy of the images with a patch in each: uint8 (N, C, H, W) -> the same.

    Args:
        patch: uint8 (C, h, w).
        top, left: where its first row and column come in each image, int64 (N,).
    """
    home, (height, width) = images.device, patch.shape[1:]
    rows = (top[:, None] + torch.arange(height)).to(home)
    columns = (left[:, None] + torch.arange(width)).to(home)
    every = torch.arange(len(images), device=home)[:, None, None]
    pasted = images.clone()
    pasted[every, :, rows[:, :, None], columns[:, None, :]] = patch.to(home).permute(1, 2, 0)
    return pasted


def anywhere(count: int, size: int, sides: tuple[int, ...], rng: torch.Generator, margin: int = 0) -> list[Tensor]:
    """Return random first rows and columns of squares that lie in the image with a margin, int64 (count,) each."""
    return [margin + torch.randint(side - size - 2 * margin + 1, (count,), generator=rng) for side in sides]
