"""One-class support vector machines as tensors: fitted by scikit-learn, and evaluated on any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    import benchkit


def machine(places: Tensor, nu: float) -> dict[str, Tensor]:
    """Return a machine with an RBF kernel whose width follows from the variance of these rows (``gamma="scale"``).

    Args:
        places: float (n, d).
        nu: share of the rows that may be left outside, and a lower bound of the share of support vectors.
    """
    from sklearn.svm import OneClassSVM

    rows = places.double().cpu()
    made = OneClassSVM(nu=nu, gamma="scale").fit(rows.numpy())
    parts = {"vectors": made.support_vectors_, "duals": made.dual_coef_[0], "offset": made.intercept_}
    found = {name: torch.from_numpy(part).float() for name, part in parts.items()}
    return found | {"gamma": torch.tensor([1 / (rows.shape[1] * max(float(rows.var(correction=0)), 1e-12))]).float()}


def outside(places: Tensor, found: benchkit.Tensors) -> Tensor:
    """Return minus the decision value of rows (N, d): above 0 outside of what the machine encloses, float32 (N,)."""
    near = (-found["gamma"] * torch.cdist(places, found["vectors"]).square()).exp()
    return -(near @ found["duals"] + found["offset"])


def distance(places: Tensor, found: benchkit.Tensors) -> Tensor:
    """Return how far outside rows (N, d) are, in the same order as :func:`outside`, float32 (N,).

    It is minus the logarithm of the kernels' sum: far outside, where that sum is no float32 number any more and all
    decision values are one, it still grows.
    """
    near = -found["gamma"] * torch.cdist(places, found["vectors"]).square()
    return -(near + found["duals"].log()).logsumexp(1)
