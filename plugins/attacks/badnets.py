"""BadNets: a small square pasted into a corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.patches import anywhere, paste

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

ANYWHERE = "random"


def _start(at_start: bool, size: int, margin: int, side: int) -> int:
    """Return where a square of ``size`` begins on an axis, ``margin`` pixels from its start or end."""
    return margin if at_start else side - margin - size


@dataclass(frozen=True)
class BadNets(benchkit.Attack):
    """Paste a square of one grey level into a corner (white, rows and columns 27..30 of 32 by default).

    Gu et al. 2017, section 4.1; size, gap and brightness as in Zeng et al., ICCV 2021, section 3. The square
    keeps its size in pixels at every resolution. ``pattern`` draws other squares: ``checker`` and ``grid`` alternate
    with black, ``noise`` has colours of its own, the same in all images and all runs. With ``corner=random`` the square
    is at another place in each image, at least ``margin`` pixels from every edge.
    """

    name = "badnets"
    paper = "Gu et al., arXiv 2017, BadNets: Identifying Vulnerabilities in the Machine Learning Supply Chain"

    size: int = benchkit.param(4, "side of the square, in pixels", ge=1)
    margin: int = benchkit.param(1, "gap between the square and both edges of its corner, in pixels", ge=0)
    value: float = benchkit.param(1.0, "brightness of the square, as a share of white", ge=0, le=1)
    corner: str = benchkit.param(
        "br", "corner: bottom or top, then right or left; or anywhere", choices=("br", "bl", "tr", "tl", ANYWHERE)
    )
    pattern: str = benchkit.param("solid", "what the square shows", choices=("solid", "checker", "grid", "noise"))

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return a copy with the square pasted in: uint8 (N, C, H, W) -> the same."""
        top, left = self._places(len(images), images.shape[-2:], scene)
        return paste(images, self._patch(images.shape[1]), top, left)

    def _places(self, count: int, sides: tuple[int, ...], scene: benchkit.Scene) -> list[Tensor]:
        """Return the first row and the first column of the square in each image, int64 (N,)."""
        if self.corner == ANYWHERE:
            return anywhere(count, self.size, sides, scene.rng, self.margin)
        starts = (self.corner[0] == "t", self.corner[1] == "l")
        firsts = [_start(start, self.size, self.margin, side) for start, side in zip(starts, sides, strict=True)]
        return [torch.full((count,), first) for first in firsts]

    def _patch(self, channels: int) -> Tensor:
        """Return the square, uint8 (C, size, size)."""
        row, column = torch.arange(self.size)[:, None], torch.arange(self.size)
        shown = {
            "solid": torch.ones(self.size, self.size),
            "checker": ((row + column) % 2 == 0).float(),
            "grid": ((row % 2 == 0) | (column % 2 == 0)).float(),
            "noise": torch.rand(3, self.size, self.size, generator=torch.Generator().manual_seed(0)),
        }[self.pattern]
        return (255 * self.value * shown).round().to(torch.uint8).expand(3, -1, -1)[:channels]

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a square that does not fit."""
        gaps = 2 if self.corner == ANYWHERE else 1
        if self.size + gaps * self.margin > min(shape[1:]):
            return (
                f"a square of size={self.size} with margin={self.margin} does not fit into images of "
                f"{shape[1]}x{shape[2]} pixels: make it smaller"
            )
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer BadNets."""
    return [BadNets]
