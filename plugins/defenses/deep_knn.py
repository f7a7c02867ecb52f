"""Deep k-NN: a row whose nearest rows, in features, carry another label is suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 512
"""Rows whose distances to all others are in memory at a time."""


@dataclass(frozen=True)
class DeepKnn(benchkit.TrainingFilter):
    """Drop each row whose label is not the most frequent one among its k nearest rows.

    Distances are Euclidean between penultimate features of unit length, of a model trained on the set itself. A row is
    not its own neighbour. Labels count as if rare ones were repeated until all are as frequent as the most frequent
    (the paper's balancing): the k nearest of such a set are voters, the last one in part.

    ``k=0`` takes as many as the most frequent label has rows, of the balanced set (the paper's guideline: one to two
    times as many).

    It was made against poison whose label is right and whose features are another class's. Of a dirty-label backdoor
    the poison lies together, all with the label of the target, and confirms itself: expect to find none of it with
    features of the victim. That is a property of the method.
    """

    name = "deep-knn"
    paper = "Peri et al., ECCV Workshops 2020, Deep k-NN Defense Against Clean-Label Data Poisoning Attacks"
    needs = frozenset({"model"})

    k: int = benchkit.param(0, "neighbours that vote; 0: as many as the most frequent label has rows", ge=0)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the share of votes for the strongest other label minus that for the row's own, float32 (N,)."""
        features = F.normalize(scene.model.features(train.images).float(), dim=1)
        votes = self.votes(features, train.labels.to(features.device), scene.classes)
        own = F.one_hot(train.labels.to(votes.device), scene.classes).bool()
        return votes.masked_fill(own, 0).amax(1) - votes[own]

    def votes(self, features: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Return the shares of votes that each row gets from its neighbours: float32 (N, F) -> (N, classes)."""
        counts = labels.bincount(minlength=classes)
        weights = (counts.max() / counts.clamp(min=1)).float()[labels]
        wanted = self.k or int(counts.max())
        nearest = min(wanted, len(features) - 1)  # a weight is 1 or more: these hold as many votes as are wanted
        parts = []
        for first in range(0, len(features), CHUNK):
            some = features[first : first + CHUNK]
            distances = torch.cdist(some, features)
            own = torch.arange(first, first + len(some), device=features.device)
            distances.scatter_(1, own[:, None], torch.inf)
            found = distances.topk(nearest, largest=False).indices
            parts.append(_counted(weights[found], labels[found], wanted, classes))
        return torch.cat(parts)


def _counted(weights: Tensor, labels: Tensor, wanted: int, classes: int) -> Tensor:
    """Return the shares of votes of neighbours that are sorted by distance: (n, k) -> (n, classes)."""
    before = weights.cumsum(1) - weights
    cast = torch.minimum(weights, (wanted - before).clamp(min=0))
    votes = weights.new_zeros(len(weights), classes).scatter_add_(1, labels, cast)
    return votes / votes.sum(1, keepdim=True).clamp(min=1e-12)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer deep k-NN."""
    return [DeepKnn]
