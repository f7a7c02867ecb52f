"""A uniform sample of a stream of images."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 200
"""Number of images for the control figures."""


class Sample:
    """A uniform sample of a stream of unknown length (Vitter, 1985, algorithm R)."""

    def __init__(self, seed: int) -> None:
        self.rng, self.seen = random.Random(seed), 0
        self.kept: list[Tensor] = []

    def offer(self, image: Tensor) -> None:
        """Take an image into the sample with the right probability."""
        self.seen += 1
        if len(self.kept) < SAMPLE:
            self.kept.append(image.clone())
        elif (place := self.rng.randrange(self.seen)) < SAMPLE:
            self.kept[place] = image.clone()
