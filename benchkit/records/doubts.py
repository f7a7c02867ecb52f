"""What makes a cell no evidence: models that do not know their task, and attacks that did not work. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.01
"""The chance at which a model that only names the most frequent class is taken for one that knows more."""
LOST = 0.10
"""C-Acc, as a share, that a model may lose against the benign victim before it counts as broken."""
ERRORS = 3.0
"""Standard errors of the difference that such a loss must exceed, too: few test images prove little."""
IMPLANTED = 0.5
"""ASR without a defense below which an attack did not implant."""

NOT_IMPLANTED = "the attack did not implant: below 50 % ASR without any defense"
VICTIM_AT_CHANCE = (
    "the victim is at chance: it gets no more clean images right than naming the most frequent class for all would, "
    "so its row is no evidence for any defense"
)
VICTIM_BROKEN = (
    f"the victim's C-Acc is more than {100 * LOST:g} points below the benign victim's: the attack did not only "
    "implant, it broke the model"
)
DEFENDED_AT_CHANCE = (
    "what the defense leaves is at chance: it gets no more clean images right than naming the most frequent class "
    "for all would, so its ASR means nothing"
)
DEFENDED_BROKEN = f"what the defense leaves has a C-Acc more than {100 * LOST:g} points below the benign victim's"
SHORTFALL = "crafting the trigger ended below what was asked"
"""How a warning begins that speaks of a trigger weaker than its paper's: what it does is measured all the same."""
OF_THE_ROW = frozenset({NOT_IMPLANTED, VICTIM_AT_CHANCE, VICTIM_BROKEN})
"""Doubts about an attack or its victim, which hold for every defense that was tried on it."""


@dataclass(frozen=True)
class Known:
    """How many images a classifier gets right.

    Attributes:
        right, images: numbers of clean test images.
        largest: images of the most frequent class: what is right by naming it for all.
    """

    right: int
    images: int
    largest: int

    @property
    def share(self) -> float:
        """What is right, as a share."""
        return self.right / self.images

    @property
    def knows(self) -> bool:
        """Whether it beats naming the most frequent class, by a one-sided binomial test at ``LEVEL``."""
        from scipy.special import bdtrc  # scipy.stats would take half as long to import as torch

        return bool(bdtrc(self.right - 1, self.images, self.largest / self.images) < LEVEL)

    def broken(self, benign: Known) -> bool:
        """Return whether it gets clearly less right than the benign victim: by more than ``LOST`` and ``ERRORS``."""
        variance = sum(one.share * (1 - one.share) / one.images for one in (self, benign))
        # Shares of the same images: what is exactly LOST apart may come out a rounding error above it.
        return benign.share - self.share > max(LOST + 1e-9, ERRORS * math.sqrt(variance))


def about_victim(victim: Known, benign: Known) -> list[str]:
    """Return the doubts about a victim."""
    return _found(victim, benign, VICTIM_AT_CHANCE, VICTIM_BROKEN)


def about_defended(defended: Known, benign: Known) -> list[str]:
    """Return the doubts about what a defense made of a victim, or of its inputs."""
    return _found(defended, benign, DEFENDED_AT_CHANCE, DEFENDED_BROKEN)


def _found(model: Known, benign: Known, at_chance: str, broken: str) -> list[str]:
    if not model.knows:
        return [at_chance]
    return [broken] if model.broken(benign) else []
