"""Activation clustering: a poisoned label has two clusters of features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F

import benchkit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Points = NDArray[np.float64]

JUDGED = 2000
"""Number of images for the silhouette, whose cost is quadratic."""
LEAST_SPREAD = 1e-6
"""Keeps the ratio finite if all features of a cluster have the same direction."""


@dataclass(frozen=True)
class ActivationClustering(benchkit.TrainingFilter):
    """Split the features of each label into two clusters, and drop one of them if it looks like poison.

    Per label the victim's penultimate features are reduced to ``components`` (principal ones, as in the Adversarial
    Robustness Toolbox, or independent ones, as in the paper) and clustered by 2-means. A cluster is poison if it holds
    at most the share ``size`` of the label's images and the silhouette of the clustering is at least ``silhouette``:
    two of the paper's three tests (section 5). The third, retraining without the cluster, is omitted because of its
    cost.

    ``suspect`` selects the tested cluster. In the paper it is the smaller one, but poison may be the larger part of its
    label (10 % of ten equal classes is half of one). The default ``tighter`` is not from the paper: all triggered
    images have features of a similar direction, so unit-length features of poison spread less (mean squared distance
    from their mean) than those of the other images of the label. The tighter cluster is tested, and the silhouette is
    multiplied by the ratio of the two spreads. The cut-off of 0.5 was set on victims of three datasets: poisoned labels
    have 0.54 or more, clean ones at most 0.46.

    ``reduce=ica,suspect=smaller,size=0.35,silhouette=0.1`` is the paper's reduction with ART's cut-offs: independent
    components have equal length, and the silhouettes of poisoned and clean labels are both around 0.1. Like
    BackdoorBench, ``suspect=smaller,silhouette=-1`` drops the smaller cluster of every label.
    """

    name = "activation-clustering"
    paper = "Chen et al., SafeAI 2019, Detecting Backdoor Attacks on DNNs by Activation Clustering"
    needs = frozenset({"model"})

    components: int = benchkit.param(10, "components the features are reduced to", ge=1)
    reduce: str = benchkit.param(
        "pca", "principal components (ART) or independent components (paper)", choices=("pca", "ica")
    )
    suspect: str = benchkit.param(
        "tighter",
        "cluster that may be poison: of less spread, or of fewer rows (paper)",
        choices=("tighter", "smaller"),
    )
    size: float = benchkit.param(1.0, "largest share of a label that can be taken for poison (ART: 0.35)", gt=0, le=1)
    silhouette: float = benchkit.param(
        0.5, "smallest silhouette (times the ratio of spreads) of poison (ART: 0.1, no ratio); -1: any", ge=-1
    )

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return +1 for the images to drop and -1 for the others, float32 (N,)."""
        features = scene.model.features(train.images)
        suspicion = features.new_full((len(train),), -1.0)
        for label in train.labels.unique():
            rows = (train.labels == label).nonzero().squeeze(1)
            seed = int(torch.randint(2**31, (1,), generator=scene.rng))
            dropped = self._poison(features[rows], seed)
            suspicion[rows[dropped.to(rows.device)]] = 1.0
        return suspicion

    def _poison(self, features: Tensor, seed: int) -> Tensor:
        """Return which images of a label to drop, bool (n,)."""
        centred = (features - features.mean(dim=0)).double().cpu()
        count = min(self.components, int(torch.linalg.matrix_rank(centred, rtol=1e-5)))
        nothing = torch.zeros(len(centred), dtype=torch.bool)
        if count == 0:
            return nothing
        second, silhouette = _two_clusters(self._reduced(centred.numpy(), count, seed), seed)
        cluster, weight = self._suspected(features.double().cpu(), second)
        poisoned = float(cluster.float().mean()) <= self.size and silhouette * weight >= self.silhouette
        return cluster if poisoned else nothing

    def _suspected(self, features: Tensor, second: Tensor) -> tuple[Tensor, float]:
        """Return which images of the two clusters may be poison, bool (n,), and the factor of the silhouette, >= 1."""
        if self.suspect == "smaller" or second.all() or not second.any():
            return (second if second.float().mean() < 0.5 else ~second), 1.0
        spreads = [_spread(features[rows]) for rows in (~second, second)]
        tighter = second if spreads[1] < spreads[0] else ~second
        return tighter, max(spreads) / max(min(spreads), LEAST_SPREAD)

    def _reduced(self, features: Points, count: int, seed: int) -> Points:
        """Return the rows' first ``count`` components, (n, count)."""
        from sklearn.decomposition import PCA, FastICA

        if self.reduce == "pca":
            reducer = PCA(count, random_state=seed)
        else:
            reducer = FastICA(count, whiten="unit-variance", random_state=seed)
        with _unconverged_allowed():
            return cast("Points", reducer.fit_transform(features))


def _two_clusters(points: Points, seed: int) -> tuple[Tensor, float]:
    """Return which points k-means puts in the second of two clusters, bool (n,), and the silhouette of the split."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    with _unconverged_allowed():
        assigned = KMeans(2, n_init=10, random_state=seed).fit_predict(points)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:JUDGED].numpy()
    both = len(order) - 1 > 1 and 0 < assigned[order].sum() < len(order)
    silhouette = float(silhouette_score(points[order], assigned[order])) if both else -1.0
    return torch.from_numpy(assigned == 1), silhouette


def _spread(features: Tensor) -> float:
    """Return the mean squared distance of unit-length features (n, F) from their mean."""
    directions = F.normalize(features, dim=1)
    return float((directions - directions.mean(dim=0)).square().sum(dim=1).mean())


@contextmanager
def _unconverged_allowed() -> Iterator[None]:
    """Silence scikit-learn's warnings about data with fewer independent components, or points, than requested."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer activation clustering."""
    return [ActivationClustering]
