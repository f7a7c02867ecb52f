"""Muon: momentum SGD whose updates are orthogonalised, for convolution filters."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# Coefficients of the odd quintic iteration that drives all singular values towards 1 (Jordan et al., 2024).
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """Return (R, S) with its singular values moved near 1, by Newton-Schulz iteration in bfloat16."""
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return (x.T if tall else x).to(matrix.dtype)


class Muon:
    """Muon (Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks").

    Before each update a filter bank (O, I, h, w) is scaled to Frobenius norm sqrt(O), so ``lr`` is a
    relative step; normalisation layers behind convolutions make their scale immaterial.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.6, steps: int = 3) -> None:
        self.params = list(params)
        self.buffers = [torch.zeros_like(p) for p in self.params]
        self.lr, self.momentum, self.steps = lr, momentum, steps

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update every filter bank that has a gradient, with learning rate ``lr * factor``."""
        for weight, buffer in zip(self.params, self.buffers, strict=True):
            if weight.grad is None:
                continue
            buffer.mul_(self.momentum).add_(weight.grad)
            nesterov = weight.grad.add(buffer, alpha=self.momentum)
            update = orthogonalised(nesterov.flatten(1), self.steps).view_as(nesterov)
            weight.mul_(weight.shape[0] ** 0.5 / (weight.norm() + 1e-7))
            weight.add_(update, alpha=-self.lr * factor)
