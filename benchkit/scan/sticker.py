"""A sticker on photographs, with which a scan tries what its scores are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STICKER = 1 / 7
"""Diameter of the sticker, as a share of the shorter side."""
TOP = 0.1
"""Share of the images into whose top a sticker should bring an image."""
FILL, RIM = (250, 210, 30), (20, 20, 20)


def diameter(shape: tuple[int, int, int]) -> int:
    """Return the diameter in pixels of the sticker for images of ``shape`` (C, H, W)."""
    return max(3, round(STICKER * min(shape[1:])))


def with_sticker(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return the images, uint8 (N, C, H, W), each with a yellow, black-rimmed disc at a random place.

    Its edge is smooth, as if the photograph with the sticker had been resized.
    """
    import torch

    count, channels, height, width = images.shape
    radius = diameter((channels, height, width)) / 2
    room = torch.tensor([height, width]) - 2 * radius
    top, left = (radius + torch.rand(2, count, 1, 1, generator=rng) * room.view(2, 1, 1, 1)).unbind(0)
    rows, columns = torch.arange(height).view(-1, 1) + 0.5, torch.arange(width) + 0.5
    distance = ((rows - top).square() + (columns - left).square()).sqrt()[:, None]
    rim, fill = (torch.tensor(one).float().view(3, 1, 1) for one in (RIM, FILL))
    rim, fill = (one if channels == 3 else one.mean(0, keepdim=True) for one in (rim, fill))
    inside, within = ((radius * share + 0.5 - distance).clamp(0, 1) for share in (0.8, 1.0))
    sticker = inside * fill + (1 - inside) * rim
    return (images * (1 - within) + sticker * within).round().byte()
