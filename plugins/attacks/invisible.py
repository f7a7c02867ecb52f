"""Invisible: any attack, reduced to one block of frequencies of what it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

import benchkit
from benchkit.frequency import band_mask, dct2, idct2

from ._pixels import to_images
from .badnets import BadNets


@dataclass(frozen=True)
class Invisible(benchkit.AttackWrapper):
    """Keep a k x k block of the spectrum of another attack's change, in training and at test time.

    Rao et al. 2024, the universal strategy that makes visible triggers invisible: with x the clean image, y the
    stamped one and M the block of highest (or lowest) frequencies, ``x + IDCT(M * DCT(y - x))`` per channel.
    Their released code keeps (k + 1) x (k + 1) low frequencies where it means k x k; here both blocks are k x k.
    The sum is clipped and rounded to 8 bits, since a triggered image is one that could have been saved. Clean pixels
    are whole grey levels already: only what is added to them is rounded, so the control is the clean image (and what
    is kept of the processing, where the wrapped attack has a control of its own).
    """

    name = "invisible"
    paper = "Rao et al., ICLR 2024, Rethinking CNN's Generalization to Backdoor Attack from Frequency Domain"
    adds_only: ClassVar[bool] = True

    base: benchkit.Attack = benchkit.nested(BadNets(), "the attack whose change is filtered; base.NAME sets it up")
    band: str = benchkit.param("high", "which corner of the spectrum is kept", choices=("high", "low"))
    k: int = benchkit.param(10, "side of the block that is kept, in coefficients", ge=1)

    def rework(self, clean: Tensor, stamped: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the clean images with the kept part of the change: uint8 (N, C, H, W) -> the same."""
        height, width = clean.shape[-2:]
        mask = band_mask(height, width, self.k, "high" if self.band == "high" else "low").to(clean.device)
        change = stamped.float() - clean.float()
        return to_images(clean.float() + idct2(dct2(change) * mask))

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a block larger than the spectrum."""
        if self.k > min(shape[1:]):
            return f"k={self.k} is more than images of {shape[1]}x{shape[2]} pixels have: make it smaller"
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the wrapper."""
    return [Invisible]
