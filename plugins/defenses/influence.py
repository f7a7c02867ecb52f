"""Influence functions: rows that the last layer could not explain without having seen them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.softmax import fitted, hessian, too_many

import benchkit
from benchkit.ops.outliers import mad, median

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1024
"""Rows whose gradients are in memory at a time."""


@dataclass(frozen=True)
class Influence(benchkit.TrainingFilter):
    """Drop the rows with the largest influence on their own loss.

    The influence of a row z on itself is ``grad L(z)^T H^-1 grad L(z)``, H the Hessian of the training loss (paper,
    section 2, and 5.4: mislabelled rows have large ones). As in the paper's experiments on features, only the last
    layer counts: softmax regression on the victim's penultimate features, with an L2 penalty of ``damping`` / 2, fitted
    by Newton's method. So H is exact and positive definite, and no row's gradient depends on the others in its batch.

    Rows are dropped whose log influence is more than ``cut`` scaled absolute deviations above the median; the paper
    ranks rows, and leaves it to a person how many to look at. Of normal logs that would be 2 % of clean rows; those
    measured are not normal: it dropped 0 to 2 % of clean rows on a CIFAR-10 subset, 6 on ``scenes`` and 11 to 12 on a
    GTSRB subset of unequal classes. Labels that the features do not explain stand out. A backdoor is explained by the
    features of a victim that has learned it: expect to find little of it.
    """

    name = "influence"
    paper = "Koh and Liang, ICML 2017, Understanding Black-box Predictions via Influence Functions"
    needs = frozenset({"model"})

    damping: float = benchkit.param(0.01, "weight of the L2 penalty, which the Hessian has, too (released: 0.01)", gt=0)
    components: int = benchkit.param(32, "principal components of the features that are used", ge=1)
    cut: float = benchkit.param(2.0, "scaled median absolute deviations of the log influence that are allowed", gt=0)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse so many classes that the Hessian does not fit."""
        return too_many(classes, self.components)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return how far the log influence of each row on itself is above the cut, float32 (N,)."""
        features = standardised(scene.model.features(train.images).double(), self.components)
        found = self.influences(features, train.labels.to(features.device), scene.classes)
        logs = found.clamp(min=1e-300).log()
        above: Tensor = logs - median(logs) - self.cut * mad(logs).clamp(min=1e-9)
        return above.float()

    def influences(self, features: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Return each row's influence on its own loss, over the number of rows: float64 (N, d) -> (N,), >= 0."""
        rows = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
        weights = fitted(rows, labels, classes, self.damping)
        factor = torch.linalg.cholesky(hessian(rows, weights, self.damping))
        wrong = (rows @ weights.T).softmax(1) - F.one_hot(labels, classes)
        parts = [
            torch.linalg.solve_triangular(factor, _outer(some, row).T, upper=False).square().sum(0)
            for some, row in zip(wrong.split(CHUNK), rows.split(CHUNK), strict=True)
        ]
        return torch.cat(parts) / len(rows)


def standardised(features: Tensor, components: int) -> Tensor:
    """Return the first principal components of features, of variance 1 where they vary: float64 (N, F) -> (N, d)."""
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    kept = (values > 1e-9 * values.max().clamp(min=1e-30)).nonzero().squeeze(1)[-components:]
    placed: Tensor = centred @ vectors[:, kept] / values[kept].sqrt()
    return placed


def _outer(wrong: Tensor, rows: Tensor) -> Tensor:
    """Return the gradients of rows, ``(p - y) h^T``: (n, K), (n, d) -> (n, K d)."""
    return (wrong[:, :, None] * rows[:, None, :]).flatten(1)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer influence functions."""
    return [Influence]
