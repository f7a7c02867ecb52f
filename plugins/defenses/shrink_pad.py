"""ShrinkPad: shift every input a little, so that a trigger is not at the position that the model expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

import benchkit
from benchkit.ops.images import to_images

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_BYTES = 2**23
"""Images resized per batch, in bytes of uint8; floats need four times as much."""


@dataclass(frozen=True)
class ShrinkPad(benchkit.InputPurifier):
    """Shrink each image by ``pad`` pixels a side and paste it at a random position on a black canvas.

    Both of the paper's steps (section 5): bilinear shrinking (with antialiasing), then random zero-padding to
    the original size, with offsets drawn per image from 0..pad. ``pad`` = 4 is the paper's value for 32-pixel
    images.
    """

    name = "shrink-pad"
    paper = "Li et al., ICLR 2021 Workshop on Security and Safety in ML, Backdoor Attack in the Physical World"

    pad: int = benchkit.param(4, "pixels an image loses in height and in width before it is padded back", ge=1)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a ``pad`` as large as the image."""
        side = min(shape[1:])
        return None if self.pad < side else f"pad={self.pad} leaves nothing of {side}-pixel images: use less"

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the shifted images: uint8 (N, C, H, W) -> uint8 (N, C, H, W)."""
        if not len(images):
            return images.clone()
        offsets = torch.randint(self.pad + 1, (len(images), 2), generator=scene.rng).to(images.device)
        step = max(1, CHUNK_BYTES // images[0].numel())
        pairs = zip(images.split(step), offsets.split(step), strict=True)
        return torch.cat([_place(self._shrink(some), where, self.pad) for some, where in pairs])

    def _shrink(self, images: Tensor) -> Tensor:
        size = (images.shape[2] - self.pad, images.shape[3] - self.pad)
        small = F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False, antialias=True)
        return to_images(small)


def _place(small: Tensor, offsets: Tensor, pad: int) -> Tensor:
    """Paste each image (B, C, h, w) at its own (top, left) on a black (h + pad, w + pad) canvas."""
    framed = F.pad(small, (pad, pad, pad, pad))
    height, width = small.shape[2] + pad, small.shape[3] + pad
    start = pad - offsets
    rows = start[:, :1] + torch.arange(height, device=small.device)
    columns = start[:, 1:] + torch.arange(width, device=small.device)
    each = torch.arange(len(small), device=small.device)[:, None, None, None]
    channel = torch.arange(small.shape[1], device=small.device)[:, None, None]
    return framed[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer ShrinkPad."""
    return [ShrinkPad]
