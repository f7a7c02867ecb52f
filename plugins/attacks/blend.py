"""Blend: a whole picture mixed faintly into the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit_plugins._shared.cartoon import cartoon

import benchkit
from benchkit.ops.images import add, mix

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Blend(benchkit.StrengthAtTest):
    """Mix a cartoon K (flat colours, hard black outlines, drawn by the program) into the whole image.

    Chen et al. 2017, section 4.2, mix ``(1 - alpha) x + alpha K`` (``mode=convex``). Zeng et al. (ICCV 2021,
    section 3) add it, ``x + alpha K`` clipped at white (``mode=add``, the default here). With ``test_strength`` the
    cartoon has another weight on test images, as adaptive and clean-label attacks have it ("trigger magnification").
    """

    name = "blend"
    paper = "Chen et al., arXiv 2017, Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning"

    alpha: float = benchkit.param(0.2, "weight of the cartoon", gt=0, le=1)
    mode: str = benchkit.param("add", "x + alpha K, clipped, or (1 - alpha) x + alpha K", choices=("add", "convex"))

    @property
    def adds_only(self) -> bool:  # type: ignore[override]
        """True if the cartoon is only added."""
        return self.mode == "add"

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the cartoon blended in: uint8 (N, C, H, W) -> the same."""
        return self._mixed(images, _picture(images), scene)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images mixed with the mean grey of the cartoon, unless it is only added: uint8, same shape.

        A convex mix reduces contrast and re-quantises every pixel, whatever the picture shows.
        """
        if self.adds_only:
            return super().control(images, scene)
        picture = _picture(images)
        return self._mixed(images, picture.mean().expand_as(picture), scene)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse more than the whole cartoon on test images."""
        if self.alpha * self.test_strength > 1:
            return f"alpha={self.alpha:g} times test_strength={self.test_strength:g} is more than the whole cartoon"
        return super().check(shape, classes)

    def _mixed(self, images: Tensor, picture: Tensor, scene: benchkit.Scene) -> Tensor:
        alpha = self.alpha * scene.strength
        levels = 255 * alpha * picture
        return mix(images, levels, 1 - alpha) if self.mode == "convex" else add(images, levels)


def _picture(images: Tensor) -> Tensor:
    """Return the cartoon in the size of the images: float32 (C, H, W) in [0, 1], on their device."""
    channels, height, width = images.shape[1:]
    return cartoon(channels, height, width).to(images.device)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Blend."""
    return [Blend]
