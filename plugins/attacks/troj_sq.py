"""Troj-SQ: a square whose pixels are optimised to excite one neuron of a clean model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

import benchkit

from ._masks import square
from ._trojan import Trojan


@dataclass(frozen=True)
class TrojSq(Trojan):
    """Add (or paste) a square near the bottom-right corner that drives a neuron of a clean model.

    Liu et al. 2018, section 4.1 and algorithm 1: the neurons of the last hidden layer with the largest sum of
    absolute outgoing weights are chosen, and the square on a black image is optimised until they answer
    ``target_value``. Zeng et al. (ICCV 2021) add the square to the image and clip (``mode=add``).
    """

    name = "troj-sq"

    def mask(self, height: int, width: int) -> Tensor:
        """Return a square of pixels 145..203 of 224, scaled: float32 (height, width), 0 or 1."""
        return square(height, width)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Troj-SQ."""
    return [TrojSq]
