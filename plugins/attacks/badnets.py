"""BadNets: a small square pasted into a corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


def _span(start: bool, size: int, margin: int, side: int) -> slice:
    """Return the pixels that a square of ``size`` covers on an axis, ``margin`` pixels from its start or end."""
    first = margin if start else side - margin - size
    return slice(first, first + size)


@dataclass(frozen=True)
class BadNets(benchkit.Attack):
    """Paste a square of one grey level into a corner (white, rows and columns 27..30 of 32 by default).

    Gu et al. 2017, section 4.1; size, gap and brightness as in Zeng et al., ICCV 2021, section 3. The square
    keeps its size in pixels at every resolution.
    """

    name = "badnets"
    paper = "Gu et al., arXiv 2017, BadNets: Identifying Vulnerabilities in the Machine Learning Supply Chain"

    size: int = benchkit.param(4, "side of the square, in pixels", ge=1)
    margin: int = benchkit.param(1, "gap between the square and both edges of its corner, in pixels", ge=0)
    value: float = benchkit.param(1.0, "brightness of the square, as a share of white", ge=0, le=1)
    corner: str = benchkit.param("br", "corner: bottom or top, then right or left", choices=("br", "bl", "tr", "tl"))

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return a copy with the square pasted in: uint8 (N, C, H, W) -> the same."""
        height, width = images.shape[-2:]
        rows = _span(self.corner[0] == "t", self.size, self.margin, height)
        columns = _span(self.corner[1] == "l", self.size, self.margin, width)
        stamped = images.clone()
        stamped[..., rows, columns] = round(255 * self.value)
        return stamped

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a square that does not fit."""
        if self.size + self.margin > min(shape[1:]):
            return (
                f"a square of size={self.size} with margin={self.margin} does not fit into images of "
                f"{shape[1]}x{shape[2]} pixels: make it smaller"
            )
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer BadNets."""
    return [BadNets]
