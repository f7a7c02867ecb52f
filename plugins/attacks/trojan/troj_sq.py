"""Troj-SQ: a square whose pixels are optimised to activate one neuron of a clean model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit_plugins._shared.masks import square

import benchkit

from .trojan import Trojan

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TrojSq(Trojan):
    """Add (or paste) a square near the bottom-right corner that activates a neuron of a clean model.

    Liu et al. 2018, section 4.1: the neuron is one of the last hidden layer; algorithm 1 optimises the square's pixels
    on a black image. ``mode=add`` is the variant of Zeng et al. (ICCV 2021).
    """

    name = "troj-sq"

    def mask(self, height: int, width: int) -> Tensor:
        """Return a square of pixels 145..203 of 224, scaled: float32 (height, width), 0 or 1."""
        return square(height, width)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Troj-SQ."""
    return [TrojSq]
