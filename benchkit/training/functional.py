"""SGD and Adam as torch computes them, without its optimizer classes.

The first ``torch.optim.Optimizer`` of a process imports torch's compiler, which takes as long as to import torch, and
nothing here is compiled. The functions that these classes call give the same numbers without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

ADAM: dict[str, Any] = {
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "amsgrad": False,
    "maximize": False,
}
"""The settings that nobody chooses."""


class Sgd:
    """SGD with momentum, as ``torch.optim.SGD``.

    Args:
        weights: what is updated, where it has a gradient.
        lr: the learning rate.
        **how: ``momentum``, ``weight_decay`` and ``nesterov`` of ``torch.optim.SGD``.
    """

    def __init__(self, weights: Sequence[nn.Parameter], lr: float, **how: Any) -> None:
        self.weights, self.lr = weights, lr
        self._how = {**how, "dampening": 0.0, "maximize": False, "foreach": True}
        self._buffers: dict[Tensor, Tensor | None] = {}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update the weights with the learning rate times ``factor``."""
        weights, grads = moved(self.weights)
        buffers = [self._buffers.get(weight) for weight in weights]
        sgd(weights, grads, buffers, lr=self.lr * factor, **self._how)
        self._buffers.update(zip(weights, buffers, strict=True))


class Adam:
    """Adam without weight decay, as ``torch.optim.Adam``.

    Args:
        weights: what is updated, where it has a gradient.
        lr: the learning rate.
        fused: whether one kernel updates all weights.
    """

    def __init__(self, weights: Sequence[nn.Parameter], lr: float, *, fused: bool) -> None:
        self.weights, self.lr, self.fused = weights, lr, fused
        self._state: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update the weights with the learning rate times ``factor``."""
        weights, grads = moved(self.weights)
        found = [self._state.get(weight) or self._new(weight) for weight in weights]
        means, squares, counts = ([one[part] for one in found] for part in range(3))
        how = {"fused": self.fused, "foreach": not self.fused, **ADAM}
        adam(weights, grads, means, squares, [], counts, lr=self.lr * factor, **how)

    def _new(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Who launches a kernel for all weights counts on the device; else one would be launched for each weight.
        counted = torch.zeros((), device=weight.device if self.fused else "cpu")
        self._state[weight] = (torch.zeros_like(weight), torch.zeros_like(weight), counted)
        return self._state[weight]


def moved(weights: Sequence[nn.Parameter]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights that have a gradient, and their gradients."""
    found = [weight for weight in weights if weight.grad is not None]
    return list(found), [weight.grad for weight in found if weight.grad is not None]
