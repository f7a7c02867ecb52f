"""Outliers of each class: rows far from all trusted rows of their label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2048
"""Rows whose distances to the trusted ones are in memory at a time."""


@dataclass(frozen=True)
class Outliers(benchkit.CleanImages, benchkit.TrainingFilter):
    """Drop each row that is farther from the trusted rows of its label than almost all of these are from each other.

    The score of a row is its distance to the ``k``-th nearest trusted row of its label. Its limit is the quantile
    ``alpha`` of the same score among the trusted rows, each without itself: the ``ceil((m + 1) alpha)``-th smallest of
    m, since of few rows the plain quantile is passed too often. The paper has a limit for each class. Here scores are
    divided by the median of their class first, and one limit serves all: of 20 trusted rows a class no limit of its own
    lets 99 % of new ones pass.

    Rows are principal components of pixels, or of features of a model that is trained on the trusted rows alone
    (``space=features``). A label with fewer than three trusted rows loses nothing. A small patch moves pixels less than
    images of one class differ, so expect little of it from pixels.
    """

    name = "outliers"
    paper = (
        "Paudice et al., arXiv 2018, Detection of Adversarial Training Examples in Poisoning Attacks through Anomaly "
        "Detection"
    )

    k: int = benchkit.param(5, "which of the nearest trusted rows counts", ge=1)
    alpha: float = benchkit.param(
        0.99, "share of trusted rows that the limit lets pass (paper: 0.99, 0.95)", gt=0, lt=1
    )
    space: str = benchkit.param(
        "features",
        "what distances are between: pixels (paper), or features of a model trained on the trusted rows",
        choices=("features", "pixels"),
    )
    components: int = benchkit.param(64, "principal components of the trusted rows that are used", ge=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the score over its limit, minus 1, float32 (N,); -1 for labels with too few trusted rows."""
        trusted, rows = self._placed(train, scene)
        return self.scores(trusted, scene.clean.labels.to(rows.device), rows, train.labels.to(rows.device))

    def scores(self, trusted: Tensor, of: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the suspicion of rows (N, d) with ``labels`` (N,), given trusted rows (M, d) of labels ``of`` (M,)."""
        within, found = [], rows.new_full((len(rows),), -1.0)
        judged = []
        for label in labels.unique():
            own = trusted[of == label]
            if len(own) < 3:
                continue
            k = min(self.k, len(own) - 1)
            alone = torch.cdist(own, own).kthvalue(k + 1, dim=1).values  # the nearest of all is the row itself
            scale = alone.median().clamp(min=1e-12)
            asked = (labels == label).nonzero().squeeze(1)
            parts = [torch.cdist(rows[some], own).kthvalue(k, dim=1).values for some in asked.split(CHUNK)]
            judged.append((asked, torch.cat(parts) / scale))
            within.append(alone / scale)
        limit = _limit(torch.cat(within), self.alpha) if within else math.inf
        for asked, ratios in judged:
            found[asked] = (ratios / limit - 1).to(found.dtype)
        return found.float()

    def _placed(self, train: benchkit.Split, scene: benchkit.Scene) -> tuple[Tensor, Tensor]:
        """Return trusted rows (M, d) and training rows (N, d) in the space where distances are measured."""
        both = scene.clean.images, train.images
        if self.space == "features":
            model = scene.fit(scene.clean)
            trusted, rows = (model.features(images).float() for images in both)
        else:
            trusted, rows = (images.to(scene.device).flatten(1).float() / 255 for images in both)
        centre = trusted.mean(0)
        axes = torch.linalg.svd(trusted - centre, full_matrices=False).Vh[: self.components]
        return (trusted - centre) @ axes.T, (rows - centre) @ axes.T


def _limit(scores: Tensor, alpha: float) -> float:
    """Return the score that a new one of the same law passes with a probability of at most ``1 - alpha``."""
    place = math.ceil((len(scores) + 1) * alpha)
    return float(scores.kthvalue(place).values) if place <= len(scores) else math.inf


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer outliers."""
    return [Outliers]
