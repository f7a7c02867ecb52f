"""Blend: a whole picture mixed faintly into the image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

import benchkit

from ._cartoon import cartoon
from ._pixels import add, mix


@dataclass(frozen=True)
class Blend(benchkit.Attack):
    """Mix a cartoon K (flat colours, hard black outlines, drawn by the program) into the whole image.

    Chen et al. 2017, section 4.2, mix ``(1 - alpha) x + alpha K`` (``mode=convex``). Zeng et al. (ICCV 2021,
    section 3) add it, ``x + alpha K`` clipped at white (``mode=add``, the default here).
    """

    name = "blend"
    paper = "Chen et al., arXiv 2017, Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning"

    alpha: float = benchkit.param(0.2, "weight of the cartoon", gt=0, le=1)
    mode: str = benchkit.param("add", "x + alpha K, clipped, or (1 - alpha) x + alpha K", choices=("add", "convex"))

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the cartoon mixed in: uint8 (N, C, H, W) -> the same."""
        channels, height, width = images.shape[1:]
        levels = (255 * self.alpha * cartoon(channels, height, width)).to(images.device)
        return mix(images, levels, 1 - self.alpha) if self.mode == "convex" else add(images, levels)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Blend."""
    return [Blend]
