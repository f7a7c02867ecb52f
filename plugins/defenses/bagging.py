"""Certified bagging: models vote that each see a small random sample of the training set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.special import betaincinv

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

ABSTAINS = -1


@dataclass(frozen=True)
class Bagging(benchkit.RobustTraining):
    """Train models on random samples of the training set, drawn with replacement, and take the plurality.

    Jia et al. 2021. If few images are poisoned, most small samples hold none. The certificate is probabilistic, and of
    the vote of infinitely many such models: from the votes of those that were trained follow a lower bound of the
    winner's share and an upper bound of all others' (Clopper and Pearson), which together are wrong for a test image
    with a probability of at most ``alpha``; from these bounds follows the number of images that an attacker may change,
    insert or remove (theorem 1). It abstains where the bounds overlap. Bounds are loose with few models: even if all of
    64 agree, the lower bound of the winner's share is 0.87 (10 classes), and if all of 16 do, 0.56: then a vote that is
    not unanimous is not certified, and of a training set of 5,000 images not even that one against any change. With
    these defaults it fits into minutes and certifies nothing on small sets: use more ``models`` for numbers. Of equal
    numbers the smaller class wins.
    """

    name = "bagging"
    paper = "Jia et al., AAAI 2021, Intrinsic Certified Robustness of Bagging against Data Poisoning Attacks"

    models: int = benchkit.param(16, "models that vote (paper: 1,000)", ge=1)
    sample: int = benchkit.param(1000, "images that each is trained on (paper: 100 on MNIST; released: 30)", ge=2)
    epochs: float = benchkit.param(8, "passes of each model over its sample (paper: 200)", gt=0)
    alpha: float = benchkit.param(0.001, "probability that the certificate of a test image is wrong", gt=0, lt=1)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the models' vote, and its certificate."""
        vote = benchkit.Ensemble([self._one(train, scene) for _ in range(self.models)], "majority")
        certified = Certificate(self.sample, len(train), self.alpha)
        return benchkit.Verdict(vote, certificate=lambda images: certified(vote.logits(images)))

    def _one(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        rows = torch.randint(len(train), (self.sample,), generator=scene.rng)
        return scene.fit(train[rows.to(train.labels.device)], epochs=self.epochs)


@dataclass(frozen=True)
class Certificate:
    """How many of ``rows`` training images may be changed, from votes of models that see ``sample`` of them.

    It is wrong for a test image with a probability of at most ``alpha``.
    """

    sample: int
    rows: int
    alpha: float

    def __call__(self, votes: Tensor) -> Tensor:
        """Return the certified numbers of images, int64 (N,), -1 where it abstains, of votes (N, K)."""
        different, which = votes.long().cpu().unique(dim=0, return_inverse=True)
        found = torch.tensor([self._one(row.tolist()) for row in different])
        return found[which]

    def _one(self, votes: list[int]) -> int:
        winner = max(votes)
        rest = list(votes)
        rest.remove(winner)
        return certified_size(self.sample, self.rows, *self.bounds(winner, max(rest), sum(votes), len(votes)))

    def bounds(self, winner: int, second: int, models: int, classes: int) -> tuple[float, float]:
        """Return a lower bound of the winner's share, and an upper one of any other's; all hold together.

        Args:
            winner: votes for the winner.
            second: votes for the second.
            models: number of all votes.
            classes: number of classes; each bound may be wrong with probability alpha / classes.
        """
        each = self.alpha / classes
        lower = float(betaincinv(winner, models - winner + 1, each)) if winner else 0.0
        upper = float(betaincinv(second + 1, models - second, 1 - each)) if second < models else 1.0
        return lower, min(upper, 1 - lower)


def certified_size(sample: int, rows: int, lower: float, upper: float) -> int:
    """Return the largest number of training images that may be changed, inserted or removed, or -1 for none at all.

    Args:
        sample: images in each sample, k.
        rows: images in the training set, n.
        lower: lower bound of the winner's share, p_l.
        upper: upper bound of any other class's share, p_s.
    """
    if lower <= upper:
        return ABSTAINS
    least, most = 0, rows
    while least < most:  # the condition holds for all sizes up to the one that is wanted
        size = (least + most + 1) // 2
        least, most = (size, most) if _holds(size, sample, rows, lower - upper) else (least, size - 1)
    return least


def _holds(size: int, sample: int, rows: int, gap: float) -> bool:
    """Return whether no set of n' images with n - size <= n' <= n + size has another winner (theorem 1).

    ``(n'/n)^k - 2 ((max(n, n') - r)/n)^k + 1 - gap < 0`` has its largest value at n, at n + r, or beside the one
    stationary point between them, r / (1 - 2^(-1 / (k - 1))).
    """
    turn = size / (1 - 0.5 ** (1 / (sample - 1)))
    beside = {min(max(near, rows), rows + size) for near in (math.floor(turn), math.ceil(turn))}
    return all(
        (other / rows) ** sample - 2 * ((max(rows, other) - size) / rows) ** sample + 1 - gap < 0
        for other in {rows, rows + size} | beside
    )


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer bagging."""
    return [Bagging]
