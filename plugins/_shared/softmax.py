"""Softmax regression with an L2 penalty, fitted to the end, and its Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 50
"""Most of Newton's steps; the loss is convex, and ten are usually enough."""
CLOSE = 1e-9
"""The largest entry of the gradient at which the fit is done."""


LARGEST = 8192
"""Weights whose Hessian, of their number squared, fits into memory."""


def too_many(classes: int, components: int) -> str | None:
    """Return why so many weights cannot be fitted, or None."""
    if (components + 1) * classes <= LARGEST:
        return None
    return f"its Hessian for {classes} classes is too large: set components to at most {LARGEST // classes - 1}"


def fitted(rows: Tensor, labels: Tensor, classes: int, damping: float) -> Tensor:
    """Return the weights (K, d) that minimise the mean cross-entropy plus ``damping / 2`` times their squared norm."""
    rows = rows.double()
    weights, targets = rows.new_zeros(classes, rows.shape[1]), F.one_hot(labels, classes).double()
    for _ in range(STEPS):
        gradient = ((rows @ weights.T).softmax(1) - targets).T @ rows / len(rows) + damping * weights
        if float(gradient.abs().max()) < CLOSE:
            break
        step = torch.linalg.solve(hessian(rows, weights, damping), gradient.flatten()).view_as(weights)
        weights = weights - _length(rows, targets, weights, step, damping) * step
    return weights


def _length(rows: Tensor, targets: Tensor, weights: Tensor, step: Tensor, damping: float) -> float:
    """Return the longest of 1, 1/2, 1/4, ... with which a step of Newton's method does not raise the loss."""

    def loss(at: Tensor) -> float:
        told = (rows @ at.T).log_softmax(1)
        return float(-(told * targets).sum() / len(rows) + damping / 2 * at.square().sum())

    before = loss(weights)
    lengths = [0.5**power for power in range(20)]
    return next((length for length in lengths if loss(weights - length * step) <= before), 0.0)


def hessian(rows: Tensor, weights: Tensor, damping: float) -> Tensor:
    """Return the Hessian of the mean loss, (K d, K d): blocks ``mean p_a (1[a = b] - p_b) h h^T``, plus the damping."""
    probabilities = (rows @ weights.T).softmax(1)
    classes, width = weights.shape
    found = rows.new_zeros(classes, width, classes, width)
    for a in range(classes):
        for b in range(a, classes):
            share = probabilities[:, a] * ((1.0 if a == b else 0.0) - probabilities[:, b])
            block = rows.T @ (rows * share[:, None]) / len(rows)
            found[a, :, b], found[b, :, a] = block, block
    flat = found.view(classes * width, classes * width)
    flat.diagonal().add_(damping)
    return flat
