"""Muon: momentum SGD whose updates are orthogonalised, for convolution filters."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# Coefficients of the odd quintic iteration that moves all singular values towards 1 (Jordan et al., 2024).
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """Return (R, S), or K of them (K, R, S), with singular values moved near 1.

    Newton-Schulz iteration in bfloat16.
    """
    x = matrix.bfloat16()
    x = x / (_norm(x, 2) + 1e-7)
    fused = torch.addmm if x.dim() == 2 else torch.baddbmm
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        x = fused(x, fused(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return (x.mT if tall else x).to(matrix.dtype)


def _norm(stack: Tensor, inner: int) -> Tensor:
    """Return the norm over the last ``inner`` axes, which are kept with length 1."""
    axes = tuple(range(-inner, 0))
    found: Tensor = stack.norm() if stack.dim() == inner else torch.linalg.vector_norm(stack, dim=axes, keepdim=True)
    return found


class Muon:
    """Muon (Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks").

    ``params`` are filter banks (O, I, h, w), or stacks of them (K, O, I, h, w), one for each of K models. Before each
    update a filter bank is scaled to Frobenius norm sqrt(O), so ``lr`` is a relative step; with normalisation layers
    after the convolutions, this scale has no effect.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.6, steps: int = 3) -> None:
        self.params = list(params)
        self.buffers = [torch.zeros_like(p) for p in self.params]
        self.lr, self.momentum, self.steps = lr, momentum, steps

    @torch.no_grad()
    def step(self, factor: float | Tensor) -> None:
        """Update every filter bank that has a gradient, with learning rate ``lr * factor``.

        Args:
            factor: a number, or one per model of the stacks: float32 (K,).
        """
        for weight, buffer in zip(self.params, self.buffers, strict=True):
            if weight.grad is None:
                continue
            buffer.mul_(self.momentum).add_(weight.grad)
            nesterov = weight.grad.add(buffer, alpha=self.momentum)
            update = orthogonalised(nesterov.flatten(-3), self.steps).view_as(nesterov)
            weight.mul_(weight.shape[-4] ** 0.5 / (_norm(weight, 4) + 1e-7))
            if isinstance(factor, Tensor):
                weight.sub_(update * (self.lr * factor).view(-1, 1, 1, 1, 1))
            else:
                weight.add_(update, alpha=-self.lr * factor)
