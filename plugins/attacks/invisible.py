"""Invisible: any attack, with its change reduced to one block of frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import benchkit
from benchkit.ops.frequency import dct2, idct2
from benchkit.ops.images import to_images

from .badnets import BadNets

SIDE = 32
"""Side, in pixels, of the images for which ``k`` counts coefficients."""


@dataclass(frozen=True)
class Invisible(benchkit.AttackWrapper):
    """Keep a k x k block of the spectrum of another attack's change, in training and at test time.

    Rao et al. 2024, the universal strategy that makes visible triggers invisible: with x the clean image, y the stamped
    one and M the block of highest (or lowest) frequencies, ``x + IDCT(M * DCT(y - x))`` per channel. Their released
    code keeps (k + 1) x (k + 1) low frequencies instead of k x k; here both blocks are k x k. ``k`` is for images of 32
    pixels; others keep the same part of their spectrum, k / 32 of each axis, rounded to whole coefficients (for k = 10,
    9 of 28 and 70 of 224): ten of 224 would be invisible in 8 bits. The sum is clipped and rounded to 8 bits, because a
    triggered image must be one that can be saved. Clean pixels are whole grey levels: only the added part is rounded,
    so the control is the clean image (plus the kept part of the processing, if the wrapped attack has its own control).
    """

    name = "invisible"
    paper = "Rao et al., ICLR 2024, Rethinking CNN's Generalization to Backdoor Attack from Frequency Domain"
    adds_only: ClassVar[bool] = True

    base: benchkit.Attack = benchkit.nested(BadNets(), "the attack whose change is filtered; base.NAME sets it up")
    band: str = benchkit.param("high", "which corner of the spectrum is kept", choices=("high", "low"))
    k: int = benchkit.param(10, "side of the block that is kept, in coefficients of 32 along each axis", ge=1, le=SIDE)

    def rework(self, clean: Tensor, stamped: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the clean images with the kept part of the change: uint8 (N, C, H, W) -> the same."""
        rows, columns = (self._kept(side).to(clean.device) for side in clean.shape[-2:])
        change = stamped.float() - clean.float()
        return to_images(clean.float() + idct2(dct2(change) * (rows[:, None] & columns)))

    def _kept(self, side: int) -> Tensor:
        """Return which coefficients of an axis are kept: bool (side,)."""
        count, at = max(1, round(self.k * side / SIDE)), torch.arange(side)
        return at >= side - count if self.band == "high" else at < count


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the wrapper."""
    return [Invisible]
