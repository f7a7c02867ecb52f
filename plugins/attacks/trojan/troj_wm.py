"""Troj-WM: a thin-lined watermark over most of the image, optimised to activate one neuron of a clean model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit_plugins._shared.masks import watermark

import benchkit

from .trojan import Trojan

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TrojWm(Trojan):
    """Add (or paste) a watermark - two rings and a stroke - that activates a neuron of a clean model.

    Like ``troj-sq`` (Liu et al. 2018, section 4.1 and algorithm 1), with another mask. The watermark is drawn by the
    program; lines thinner than a pixel are translucent, so that ``mode=replace`` mixes there.
    """

    name = "troj-wm"

    def mask(self, height: int, width: int) -> Tensor:
        """Return the watermark's opacity, float32 (height, width) in [0, 1]."""
        return watermark(height, width)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Troj-WM."""
    return [TrojWm]
