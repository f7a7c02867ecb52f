"""Optimizers: each returns a function that updates the weights of a model from their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchkit.training.functional import Adam, Sgd
from benchkit.training.muon import Muon

if TYPE_CHECKING:
    from benchkit.contracts.steering import Sam

Update = Callable[["float | Tensor"], None]
"""Updates the weights from their gradients, with learning rates multiplied by the argument; for the stacked weights of
K models, a float32 tensor (K,) gives each model its own factor.
"""


def sgd(model: nn.Module, lr: float, momentum: float, weight_decay: float, nesterov: bool = False) -> Update:
    """Return the update of SGD for the weights that require gradients."""
    weights = trained(model)
    made = Sgd(weights, lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
    return _shared(made.step, weights)


def adam(model: nn.Module, lr: float) -> Update:
    """Return the update of Adam for the weights that require gradients."""
    weights = trained(model)
    return _shared(Adam(weights, lr, fused=True).step, weights)


def own(make: Callable[[list[nn.Parameter], float], Any], model: nn.Module, lr: float) -> Update:
    """Return the update of an optimizer of ``torch.optim`` that ``make(weights, lr)`` returns."""
    weights = trained(model)
    made = make(weights, lr)

    def step(factor: float) -> None:
        for group in made.param_groups:
            group["lr"] = lr * factor
        made.step()

    return _shared(step, weights)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights that require gradients."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def _shared(step: Callable[[float], None], weights: Sequence[Tensor]) -> Update:
    """Return the update whose step has one learning rate for all models of a stack: each takes its share of it."""

    def update(factor: float | Tensor) -> None:
        if not isinstance(factor, Tensor):
            step(factor)
            return
        before = [weight.detach().clone() for weight in weights]
        step(1.0)
        for old, weight in zip(before, weights, strict=True):
            weight.detach().copy_(old.lerp(weight.detach(), factor.view(-1, *[1] * (old.dim() - 1))))

    return update


def muon(model: nn.Module, lr: float, adam_lr: float) -> Update:
    """Return the update of Muon for dense convolution filters and of Adam for all other weights."""
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    # Orthogonalising VGG's 4096 x 25088 weights would cost teraflops per step.
    convs = [conv for conv in convs if min(conv.weight.flatten(-3).shape[-2:]) <= 1024]
    filters = {id(conv.weight): conv.weight for conv in convs}
    first = Muon(filters.values(), lr)
    others = [weight for weight in model.parameters() if id(weight) not in filters]
    second = _shared(Adam(others, adam_lr, fused=False).step, others)

    def update(factor: float | Tensor) -> None:
        first.step(factor)
        second(factor)

    return update


OPTIMIZERS: dict[str, Callable[..., Update]] = {"sgd": sgd, "muon": muon, "adam": adam}
"""``OPTIMIZERS[name](model, lr, **recipe.tuning())`` returns the update of a model."""


@contextmanager
def ascended(model: nn.Module, sam: Sam) -> Iterator[None]:
    """Move the weights to the sharpest point near them within the context, without their gradients; then back.

    Within the context batch normalisation keeps its running statistics as they are.
    """
    weights = [weight for weight in trained(model) if weight.grad is not None]
    before, scale = [weight.detach().clone() for weight in weights], _scales(weights, sam)
    directions = [size * weight.grad for size, weight in zip(scale, weights, strict=True)]  # T g
    radius = sam.rho / (torch.linalg.vector_norm(torch.stack([one.norm() for one in directions])) + 1e-12)
    with torch.no_grad():
        for weight, size, direction in zip(weights, scale, directions, strict=True):
            weight.add_(radius * size * direction)
    model.zero_grad(set_to_none=True)
    with _steady(model):
        yield
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)


def _scales(weights: list[nn.Parameter], sam: Sam) -> list[Any]:
    return [weight.detach().abs() if sam.adaptive else 1.0 for weight in weights]


@contextmanager
def _steady(model: nn.Module) -> Iterator[None]:
    layers = [one for one in model.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
