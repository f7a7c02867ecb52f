"""What is the doing of a training filter, and what of training anew on fewer rows?

A filter that drops none of the poison may still change the ASR, since another draw of few poisons is learned otherwise.
This loose plugin is the filter that looks at nothing; it drops as many rows as another one does:

    benchkit run --attacks blend --defenses deep-knn,random-filter:share=0.06 --poison-rate 0.01 \
        -p benchmarks/experiments/random_filter.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RandomFilter(benchkit.TrainingFilter):
    """Drops rows at random: the control of training filters."""

    name = "random-filter"
    paper = "none: a control"
    in_all = False

    share: float = benchkit.param(0.05, "share of the rows that is dropped", ge=0, lt=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return 1 for the rows that are dropped and -1 for others, float32 (N,)."""
        found = -torch.ones(len(train))
        found[torch.randperm(len(train), generator=scene.rng)[: round(self.share * len(train))]] = 1
        return found


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Return the filter."""
    return [RandomFilter]
