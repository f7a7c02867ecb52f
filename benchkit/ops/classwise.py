"""Robust statistics of features, class by class: medians and scaled median absolute deviations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchkit.ops.outliers import LEAST, mad, median


def class_medians(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return each class's median of each feature, (K, F), NaN for a class without rows.

    Args:
        features: floating point (N, F).
        labels: int64 (N,), 0..K-1, on the device of the features.
        classes: K.
    """
    return _by_class(median, features, labels, classes)


def class_mads(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return each class's scaled median absolute deviation of each feature (times 1.4826), (K, F), NaN without rows.

    The arguments are those of :func:`class_medians`. Of a feature that is constant in a class (a dead channel) it is
    0, which a caller must not divide by.
    """
    return _by_class(mad, features, labels, classes)


def class_deviations(features: Tensor, labels: Tensor, centres: Tensor, spreads: Tensor) -> Tensor:
    """Return how many deviations each feature of each row lies from its class's median, with its sign: (N, F).

    Features whose deviation is 0 in that class count as 0: they tell nothing (Beatrix: Ma et al., NDSS 2023, would
    divide by 0). Rows of a class without statistics are NaN.

    Args:
        features: floating point (N, F).
        labels: int64 (N,): the class with which each row is compared, such as its prediction.
        centres: (K, F), from :func:`class_medians`, often of clean images.
        spreads: (K, F), from :func:`class_mads`.
    """
    spread = spreads[labels]
    gaps = (features - centres[labels]) / spread.clamp(min=LEAST)
    return gaps.masked_fill(spread <= LEAST, 0.0)


def _by_class(statistic: Callable[[Tensor, int], Tensor], features: Tensor, labels: Tensor, classes: int) -> Tensor:
    groups = [features[labels == one] for one in range(classes)]
    nothing = features.new_full(features.shape[1:], torch.nan)
    return torch.stack([statistic(rows, 0) if len(rows) else nothing for rows in groups])
