"""What several triggers share: the way back from floats to images, and adding or pasting a pattern."""

from __future__ import annotations

import torch
from torch import Tensor


def to_images(levels: Tensor) -> Tensor:
    """Return grey levels (float, nominally 0..255) as uint8 images: clamped, then rounded."""
    return levels.clamp(0, 255).round().to(torch.uint8)


def add(images: Tensor, levels: Tensor) -> Tensor:
    """Return ``images + levels`` clipped to 0..255; ``levels``, in grey levels, broadcasts."""
    return to_images(images.float() + levels.to(images.device))
