"""Anomaly detection on pixels: an image unlike the clean ones is suspicious, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.halves import drawn_halves
from benchkit_plugins._shared.oneclass import distance, machine

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 4096
"""Images that are scored at a time."""


@dataclass(frozen=True)
class NtAnomaly(benchkit.InputDetector):
    """Learn what clean images look like, without any model, and flag what does not.

    The paper trains a support vector machine, or a decision tree, on pixels of legitimate images against others. A
    defender knows no others, so here it is a one-class support vector machine, or the Mahalanobis distance, on
    principal components of pixels. What the components leave out counts as one more: the distance to their plane, as a
    share of its root mean square over the other half of the clean images, which gave no components.

    One half is learned from, and the other sets this unit and the threshold: a one-class machine flags far more new
    images than its ``nu`` says.
    """

    name = "nt-anomaly"
    paper = "Liu et al., ICCD 2017, Neural Trojans"
    labelled = False

    rule: str = benchkit.param(
        "svm", "one-class support vector machine, or distance from the mean", choices=("svm", "mahalanobis")
    )
    components: int = benchkit.param(64, "principal components of the pixels", ge=1)
    nu: float = benchkit.param(0.1, "share of clean images that the machine may leave outside", gt=0, le=1)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the components, and the machine on them."""
        known, others = (_flat(half.images) for half in drawn_halves(scene.clean))
        centre = known.mean(0)
        _, spreads, axes = torch.linalg.svd(known - centre, full_matrices=False)
        count = min(self.components, int((spreads > 1e-6 * spreads[0]).sum()))
        found = {"centre": centre, "axes": axes[:count], "spreads": spreads[:count] / len(known) ** 0.5}
        # Clean images that gave the components lie closer to their plane than others do.
        found["usual"] = (_beside(others, found).square().mean().sqrt() + 1e-6)[None]
        return found | (machine(_placed(known, found), self.nu) if self.rule == "svm" else {})

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that it did not learn from."""
        return self.score(drawn_halves(scene.clean)[1].images, scene)

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return how unlike clean images each is, float32 (N,)."""
        found = {name: value.to(images.device) for name, value in scene.prepared.items()}
        judge = distance if self.rule == "svm" else _distance
        return torch.cat([judge(_placed(_flat(some), found), found) for some in images.split(CHUNK)]).float()


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 255


def _beside(rows: Tensor, found: benchkit.Tensors) -> Tensor:
    """Return the distances of rows from the plane of the components, (N,)."""
    centred = rows - found["centre"]
    inside = centred @ found["axes"].T
    return (centred.square().sum(1) - inside.square().sum(1)).clamp(min=0).sqrt()


def _placed(rows: Tensor, found: benchkit.Tensors) -> Tensor:
    """Return rows as standardised components, and their standardised distance from the plane: (N, count + 1)."""
    inside = (rows - found["centre"]) @ found["axes"].T / found["spreads"].clamp(min=1e-6)
    return torch.cat([inside, (_beside(rows, found) / found["usual"])[:, None]], dim=1)


def _distance(places: Tensor, _found: benchkit.Tensors) -> Tensor:
    return places.square().mean(1).sqrt()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer anomaly detection on pixels."""
    return [NtAnomaly]
