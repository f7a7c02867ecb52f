"""Spectral signatures: poisoned images stand out along the top singular direction of their label's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SpectralSignatures(benchkit.TrainingFilter):
    """Drop, in every label, the images with the largest squared projection on the top singular vector.

    Per label the victim's penultimate features are centred, ``v`` is their top right singular vector, and the score of
    an image is ``((R(x) - mean) . v)^2`` (paper, algorithm 1). The defender does not know the target, so every label
    loses images, even without an attack.

    The paper removes ``1.5 * eps`` per label, where ``eps`` is an upper bound of the poison. With ``of=label`` (the
    default, and the field's 85th-percentile rule) these are ``1.5 * eps * n`` images, n = the images with that label.
    ``of=set`` is algorithm 1 exactly: eps is the bound for the whole set, whose poison may all be in one label, so
    ``1.5 * eps * N`` images of each label are dropped. At most half of a label is dropped, because the method assumes
    that most of a label is clean. If half of a label is poison (10 % of ten equal classes), ``of=label`` therefore
    cannot remove all of it.
    """

    name = "spectral-signatures"
    paper = "Tran et al., NeurIPS 2018, Spectral Signatures in Backdoor Attacks"
    needs = frozenset({"model"})

    eps: float = benchkit.param(0.1, "assumed share of poisoned rows; 1.5 times as many are dropped", gt=0, le=1)
    of: str = benchkit.param(
        "label",
        "what eps is a share of: each label's rows, or the whole training set",
        choices=("label", "set"),
    )

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the score minus the label's threshold, float32 (N,): above 0 for the images to drop."""
        features = scene.model.features(train.images).double()
        suspicion = features.new_zeros(len(train))
        for label in train.labels.unique():
            rows = (train.labels == label).nonzero().squeeze(1)
            scores = _signature(features[rows])
            count = self._count(len(rows), len(train))
            suspicion[rows] = scores - scores.sort(descending=True).values[count]
        return suspicion.float()

    def _count(self, rows: int, total: int) -> int:
        """Return how many of the ``rows`` images of a label to drop: at most half of them."""
        return min(benchkit.share_of(1.5 * self.eps, rows if self.of == "label" else total), rows // 2)


def _signature(features: Tensor) -> Tensor:
    """Return the squared projection of centred features (n, F) on their top right singular vector, (n,)."""
    centred = features - features.mean(dim=0)
    top = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    scores: Tensor = (centred @ top).square()
    return scores


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer spectral signatures."""
    return [SpectralSignatures]
