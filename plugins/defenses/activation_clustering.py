"""Activation clustering: a label that holds poison holds two kinds of rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

import benchkit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Points = NDArray[np.float64]

JUDGED = 2000
"""Rows on which the silhouette is computed: it takes every pair of them."""


@dataclass(frozen=True)
class ActivationClustering(benchkit.TrainingFilter):
    """Split each label's features in two clusters, and drop the smaller one if it looks like poison.

    Per label the victim's penultimate features are reduced to ``components`` (independent components, as in
    the paper, or principal ones, as in the Adversarial Robustness Toolbox) and clustered by 2-means. The
    smaller cluster is dropped when it holds at most ``size`` of the label's rows and the silhouette of the
    clustering is at least ``silhouette``: two of the paper's three tests (section 5), with ART's cut-offs. The
    third, retraining without the cluster, is left out for its cost.

    Poison that outweighs the label's clean rows (10 % of ten equal classes is half of its label) is not the
    small cluster: ``size`` lets it through. ``size=0.5`` leaves it to the silhouette alone to decide;
    ``size=0.5,silhouette=-1`` drops the smaller cluster of every label, as BackdoorBench does.
    """

    name = "activation-clustering"
    paper = "Chen et al., SafeAI 2019, Detecting Backdoor Attacks on DNNs by Activation Clustering"
    needs = frozenset({"model"})

    components: int = benchkit.param(10, "components the features are reduced to", ge=1)
    reduce: str = benchkit.param(
        "ica", "independent components (paper) or principal components (ART)", choices=("ica", "pca")
    )
    size: float = benchkit.param(
        0.35, "largest share of a label that can be taken for poison; 0.5: any smaller cluster", gt=0, le=0.5
    )
    silhouette: float = benchkit.param(
        0.1, "smallest silhouette of two clusters that are really two; -1: any", ge=-1, le=1
    )

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return +1 for the rows to drop and -1 for the others, float32 (N,)."""
        features = scene.model.features(train.images)
        suspicion = features.new_full((len(train),), -1.0)
        for label in train.labels.unique():
            rows = (train.labels == label).nonzero().squeeze(1)
            seed = int(torch.randint(2**31, (1,), generator=scene.rng))
            dropped = self._smaller_cluster(features[rows], seed)
            suspicion[rows[dropped.to(rows.device)]] = 1.0
        return suspicion

    def _smaller_cluster(self, features: Tensor, seed: int) -> Tensor:
        """Return which of a label's rows to drop, bool (n,)."""
        centred = (features - features.mean(dim=0)).double().cpu()
        count = min(self.components, int(torch.linalg.matrix_rank(centred, rtol=1e-5)))
        nothing = torch.zeros(len(centred), dtype=torch.bool)
        if count == 0:
            return nothing
        points = self._reduced(centred.numpy(), count, seed)
        smaller, silhouette = _smaller_of_two(points, seed)
        poisoned = float(smaller.float().mean()) <= self.size and silhouette >= self.silhouette
        return smaller if poisoned else nothing

    def _reduced(self, features: Points, count: int, seed: int) -> Points:
        """Return the rows' first ``count`` components, (n, count)."""
        from sklearn.decomposition import PCA, FastICA

        if self.reduce == "pca":
            reducer = PCA(count, random_state=seed)
        else:
            reducer = FastICA(count, whiten="unit-variance", random_state=seed)
        with _unconverged_allowed():
            return cast("Points", reducer.fit_transform(features))


def _smaller_of_two(points: Points, seed: int) -> tuple[Tensor, float]:
    """Return the smaller of two k-means clusters, bool (n,), and the silhouette of the split."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    with _unconverged_allowed():
        assigned = KMeans(2, n_init=10, random_state=seed).fit_predict(points)
    rare = int(assigned.mean() < 0.5)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:JUDGED].numpy()
    both = len(order) - 1 > 1 and 0 < assigned[order].sum() < len(order)
    silhouette = float(silhouette_score(points[order], assigned[order])) if both else -1.0
    return torch.from_numpy(assigned == rare), silhouette


@contextmanager
def _unconverged_allowed() -> Iterator[None]:
    """Silence scikit-learn where data has fewer independent components, or points, than it looked for."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer activation clustering."""
    return [ActivationClustering]
