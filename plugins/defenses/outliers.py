"""Outliers of each class: rows far from all trusted rows of their label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CHUNK = 2048
"""Rows whose distances to the trusted ones are in memory at a time."""
PARTS = 3
"""Parts of the trusted rows, each of which is measured against the others."""
TINY = 1e-12
"""What no distance that is divided by is below: trusted rows may be equal."""
FEWEST = 3
"""Trusted rows of a label that can be judged: one in each part."""


@dataclass(frozen=True)
class Outliers(benchkit.CleanImages, benchkit.TrainingFilter):
    """Drop each row that is farther from the trusted rows of its label than almost all of these are from each other.

    The score of a row is its distance to the ``k``-th nearest trusted row of its label. Its limit is the quantile
    ``alpha`` of the same score among the trusted rows, each without itself: the ``ceil((m + 1) alpha)``-th smallest of
    m, since of few rows the plain quantile is passed too often. The paper has a limit for each class. Here scores are
    divided by the median of their class first, and one limit serves all: of 20 trusted rows a class no limit of its own
    lets 99 % of new ones pass.

    Rows are principal components of pixels, or of features of a model that is trained on trusted rows alone
    (``space=features``). Such a model draws the rows that it has learned together, so trusted rows are measured as new
    ones are: in three parts, each in a space and against rows of the other two. A training row's score is the mean of
    three. A label with fewer than three trusted rows loses nothing (metric ``unjudged``), and none does if there are
    too few for the quantile, 99 for 0.99. A small patch moves pixels less than images of one class differ, so expect
    little of it from pixels.
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

    metrics = (benchkit.Metric("unjudged", better="lower", about="labels with fewer than three trusted rows"),)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the score over its limit, minus 1, float32 (N,); -1 for labels with too few trusted rows."""
        trusted, of, labels = scene.clean, scene.clean.labels.cpu(), train.labels.cpu()
        unjudged = [label for label in labels.unique() if int((of == label).sum()) < FEWEST]
        own, found = torch.empty(len(trusted)), torch.zeros(len(train))
        if len(unjudged) < len(labels.unique()):  # else a part may be empty
            part = parts_of(of, scene.rng)
            for number in range(PARTS):
                here = (part == number).nonzero().squeeze(1)
                known, held = trusted[(part != number).nonzero().squeeze(1)], trusted[here]
                place = self._place(known, scene)
                rows = place(known)
                near = self.distances(rows, known.labels.cpu(), place(held), of[here])
                unit = torch.minimum(near.median(), near[near.isfinite()].max()).clamp(min=TINY)
                own[here] = near / unit
                found += self.distances(rows, known.labels.cpu(), place(train), labels) / unit / PARTS
        return benchkit.Verdict(self.scores(own, of, found, labels), metrics={"unjudged": len(unjudged)})

    def distances(self, trusted: Tensor, of: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        """Return each row's distance to the ``k``-th nearest trusted row of its label, or to the farthest of fewer.

        Args:
            trusted: float (M, d).
            of: labels of the trusted rows, (M,), on the CPU.
            rows: float (N, d).
            labels: labels of the rows, (N,), on the CPU.

        Returns:
            float32 (N,) on the CPU; infinite where no trusted row has the label.
        """
        found = torch.full((len(rows),), math.inf)
        for label in labels.unique():
            own, asked = trusted[of == label], (labels == label).nonzero().squeeze(1)
            if len(own):
                k = min(self.k, len(own))
                parts = [torch.cdist(rows[some], own).kthvalue(k, dim=1).values for some in asked.split(CHUNK)]
                found[asked] = torch.cat(parts).float().cpu()
        return found

    def scores(self, own: Tensor, of: Tensor, found: Tensor, labels: Tensor) -> Tensor:
        """Return the suspicion of rows by their distances (N,) and ``labels``, float32 (N,).

        Args:
            own: distances of trusted rows, measured as those of new ones, (M,).
            of: labels of the trusted rows, (M,).
            found: distances of the rows, (N,).
            labels: their labels, (N,).
        """
        judged = [label for label in labels.unique() if int((of == label).sum()) >= FEWEST]
        within = [own[of == label] / _medians_without(own[of == label]) for label in judged]
        limit = _limit(torch.cat(within), self.alpha) if within else math.inf
        ratios = torch.zeros_like(found)
        for label in judged:
            ratios[labels == label] = found[labels == label] / own[of == label].median().clamp(min=TINY)
        return ratios / max(limit, TINY) - 1

    def _place(self, known: benchkit.Split, scene: benchkit.Scene) -> Callable[[benchkit.Split], Tensor]:
        """Return what places images in the space that some trusted ones define: float32 (N, d)."""
        if self.space == "features":
            model = scene.fit(known)

            def values(split: benchkit.Split) -> Tensor:
                return model.features(split.images).float()
        else:

            def values(split: benchkit.Split) -> Tensor:
                return split.images.to(scene.device).flatten(1).float() / 255

        seen = values(known)
        centre = seen.mean(0)
        axes = torch.linalg.svd(seen - centre, full_matrices=False).Vh[: self.components]
        return lambda split: (values(split) - centre) @ axes.T


def parts_of(labels: Tensor, rng: torch.Generator) -> Tensor:
    """Return the part of each row, int64 (M,): drawn, with as many rows of each label in every part as can be."""
    part = torch.empty(len(labels), dtype=torch.int64, device=labels.device)
    for label in labels.unique():
        rows = (labels == label).nonzero().squeeze(1)
        part[rows] = (torch.randperm(len(rows), generator=rng) % PARTS).to(labels.device)
    return part


def _medians_without(values: Tensor) -> Tensor:
    """Return for each of at least two values the median of the others, (M,)."""
    rows = values.expand(len(values), -1)[~torch.eye(len(values), dtype=torch.bool)].view(len(values), -1)
    return rows.median(1).values.clamp(min=TINY)


def _limit(scores: Tensor, alpha: float) -> float:
    """Return the score that a new one of the same law passes with a probability of at most ``1 - alpha``."""
    place = math.ceil((len(scores) + 1) * alpha)
    return float(scores.kthvalue(place).values) if place <= len(scores) else math.inf


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer outliers."""
    return [Outliers]
