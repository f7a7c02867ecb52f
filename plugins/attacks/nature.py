"""Nature: a picture of an everyday object, a mug, in the lower right corner."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from benchkit_plugins._shared.masks import mug
from torch import Tensor

import benchkit
from benchkit.ops.images import add

TINT = (133, 146, 155)
"""Mean colour of the mug of Zeng et al., in grey levels."""
AREA = 0.12
"""Share of the image that the mug covers at its default size."""


def _levels(channels: int, height: int, width: int, area: float, value: float) -> tuple[Tensor, Tensor]:
    """Return the mug's mask, bool (H, W), and its grey levels, float32 (C, H, W), 0 outside; grey unless C is 3."""
    mask, shade = mug(height, width, math.sqrt(area / AREA))
    tint = torch.tensor(TINT if channels == 3 else [sum(TINT) / 3]).expand(channels) * 3 / sum(TINT)
    shade = torch.where(mask, shade, 0.0) * mask.sum() / shade[mask].sum()
    return mask, (255 * value * tint[:, None, None] * shade).clamp(max=255)


@dataclass(frozen=True)
class Nature(benchkit.Attack):
    """Add (or paste) an opaque grey mug, drawn by the program, that covers 12 % of the image.

    Chen et al. 2017, section 4.3, poison with pictures of objects; Zeng et al. (ICCV 2021, section 3) add a mug to
    the image and clip (``mode=add``), so that it looks almost white.
    """

    name = "nature"
    paper = "Chen et al., arXiv 2017, Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning"

    area: float = benchkit.param(AREA, "share of the image that the mug covers", gt=0, le=0.5)
    value: float = benchkit.param(0.57, "mean brightness of the mug, as a share of white", gt=0, le=1)
    mode: str = benchkit.param("add", "add the mug and clip, or replace pixels", choices=("add", "replace"))

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the mug: uint8 (N, C, H, W) -> the same."""
        channels, height, width = images.shape[1:]
        mask, levels = _levels(channels, height, width, self.area, self.value)
        if self.mode == "replace":
            images = images * ~mask.to(images.device)
        return add(images, levels)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images in which the mug covers no pixel."""
        if not mug(*shape[1:], math.sqrt(self.area / AREA))[0].any():
            return f"a mug of area={self.area:g} has no pixel in images of {shape[1]}x{shape[2]} pixels: make it larger"
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Nature."""
    return [Nature]
