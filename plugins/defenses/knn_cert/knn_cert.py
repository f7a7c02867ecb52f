"""Certified nearest neighbours: a vote of training images, of which each poison sways one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from benchkit_plugins._shared.votes import certain, sorted_by_content
from benchkit_plugins.defenses.knn_cert.features import FEATURES, UNITS
from torch import Tensor
from torch.nn.functional import one_hot

import benchkit

AT_ONCE = 20_000_000
"""Distances in memory at once."""


@dataclass(frozen=True)
class CertifiedNeighbours(benchkit.RobustTraining):
    """Classify by the labels of the nearest training images, in features that were not learned from them.

    Jia et al. 2022. An image that is changed, inserted or removed takes at most one neighbour's vote from one class and
    gives at most one to another, so the winner is certain while fewer images are changed than half of its lead. Votes
    are those that are observed, poisons included; of equal numbers the smaller class wins. With ``radius``, all images
    within this distance vote, which is their radius nearest neighbours.

    Features must not depend on the training set, or the certificate is void: ``hog`` are histograms of oriented
    gradients as in the paper, ``pixels`` the grey levels. They are whole numbers, so distances are exact, and of equal
    distances those count first that come first by content: thus an image's place in the set has no part in anything.
    The paper's joint certificate of several test images is not there. Where features are weak, as ``hog`` is on
    ``scenes``, a class that relabelled poisons make frequent wins most votes of many neighbours.
    """

    name = "knn-cert"
    paper = (
        "Jia et al., AAAI 2022, Certified Robustness of Nearest Neighbors against Data Poisoning and Backdoor Attacks"
    )

    k: int = benchkit.param(400, "neighbours that vote (paper: 5,000 of 60,000)", ge=1)
    features: str = benchkit.param("hog", "in what images are near", choices=tuple(FEATURES))
    radius: float = benchkit.param(
        0.0, "let all images within this distance vote instead of the k nearest; 0: the k nearest", gt=0, auto=0
    )

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the neighbours' vote, and its certificate."""
        known, units = sorted_by_content(train), UNITS[self.features]
        points = FEATURES[self.features](known.images)
        voters = Voters(points, one_hot(known.labels, scene.classes).double(), self.k, (self.radius * units) ** 2)

        def votes(images: Tensor) -> Tensor:
            return voters(FEATURES[self.features]((images * 255).round().to(torch.uint8)))

        model = benchkit.FromFunction(votes, scene.device)
        return benchkit.Verdict(model, certificate=lambda images: certain(model.logits(images)))


@dataclass(frozen=True)
class Voters:
    """The points of a training set, in the order in which they come first where distances are equal.

    Attributes:
        points: float64 (n, F), whole numbers.
        labels: float64 (n, K), one-hot.
        k: number of nearest points that vote.
        within: the squared distance within which all vote; 0 for the k nearest.
    """

    points: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    k: int
    within: float = 0.0

    def __call__(self, asked: Tensor) -> Tensor:
        """Return the votes, float64 (N, K), for points (N, F)."""
        parts = asked.split(max(1, AT_ONCE // len(self.points)))
        return torch.cat([self._chosen(self._distances(part)).double() @ self.labels for part in parts])

    def _distances(self, asked: Tensor) -> Tensor:
        """Return squared distances, float64 (N, n), exact: their terms are whole numbers below 2^53."""
        squares = [(one * one).sum(1) for one in (asked, self.points)]
        return squares[0][:, None] + squares[1] - 2 * asked @ self.points.T

    def _chosen(self, away: Tensor) -> Tensor:
        """Return which points vote, bool (N, n)."""
        if self.within:
            return away <= self.within
        k = min(self.k, away.shape[1])
        last = away.kthvalue(k, dim=1, keepdim=True).values
        nearer, level = away < last, away == last
        return nearer | (level & (level.cumsum(1) <= k - nearer.sum(1, keepdim=True)))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer certified nearest neighbours."""
    return [CertifiedNeighbours]
