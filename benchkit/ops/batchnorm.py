"""Batch-norm weights, scaled: by noise that raises a loss, by masks that prune channels, or by a constant.

Adversarial neuron pruning (Wu & Wang, NeurIPS 2021, Section 3), BAN (Xu et al., NeurIPS 2024) and scaled-prediction
detectors (IBD-PSC: Hou et al., ICML 2024) multiply a network's batch-norm weights and biases by factors. Nothing here
changes the network: a forward pass with other factors is a function of images and factors, differentiable in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

Factors = Mapping[str, Tensor]
"""A factor for each channel, float (c,), by the name of the parameter, such as ``net.stem.1.weight``."""
Net = Callable[[Tensor], Tensor]
KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def batch_norms(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights and biases of all batch norms that have them, by name, in the order of the modules.

    A defense that needs some says so in ``check`` or raises ``benchkit.ContractError`` where this is empty.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, KINDS) and module.affine}
    return {
        f"{layer}.{name}" if layer else name: value
        for layer, module in layers.items()
        for name, value in module.named_parameters(recurse=False)
    }


def scaled(model: nn.Module, factors: Factors) -> Net:
    """Return the model as a function of images whose batch-norm parameters are multiplied by factors.

    It is differentiable in the images, in the factors and in the weights of the model, and in the mode of the model.

    Args:
        model: maps images to logits, such as ``scene.model``.
        factors: for any of the parameters that :func:`batch_norms` names; the others stay.
    """
    known = batch_norms(model)

    def run(images: Tensor) -> Tensor:
        changed = {name: known[name] * factor.to(known[name]) for name, factor in factors.items()}
        made: Tensor = functional_call(model, changed, (images,))
        return made

    return run


def adversarial_factors(
    model: nn.Module,
    loss: Callable[[Net], Tensor],
    *,
    bound: float,
    steps: int = 1,
    rng: torch.Generator | None = None,
    masks: Factors | None = None,
) -> dict[str, Tensor]:
    """Return factors ``mask + noise`` for all batch norms, whose noise raises a loss: the inner maximisation of ANP.

    The noise starts uniformly between -bound and bound, and goes ``bound / steps`` along the sign of the gradient in
    each step. As in the authors' code it is not cut back to the bound afterwards, so that it is at most 2 bound.

    Args:
        model: maps images to logits; its batch statistics are fixed in eval mode.
        loss: gets the model with its factors, and returns one number: ``lambda net: F.cross_entropy(net(x), y)``.
        bound: of the noise; ANP: 0.4, BAN: 0.3.
        steps: how many; ANP: 1, BAN: 30.
        rng: a CPU generator for the start; without one it starts at 0.
        masks: what the noise is added to, by name; 1 where there is none. They get no gradient here: add
            ``factor - mask`` to a mask that is to be learned.

    Raises:
        ValueError: if the model has no batch norm with weights.
    """
    known = batch_norms(model)
    if not known:
        raise ValueError("the model has no batch norm with weights, whose channels could be scaled")
    base = {name: (masks or {}).get(name, torch.ones_like(one)).detach() for name, one in known.items()}
    noise = {name: _start(one, bound, rng) for name, one in base.items()}
    for _ in range(steps):
        ways = _uphill(model, loss, base, noise)
        noise = {name: noise[name] + bound / steps * way for name, way in ways.items()}
    return {name: base[name] + one for name, one in noise.items()}


def _uphill(model: nn.Module, loss: Callable[[Net], Tensor], base: Factors, noise: Factors) -> dict[str, Tensor]:
    """Return the signs of the loss's slopes in the noise, 0 where it does not depend on it."""
    with torch.enable_grad():
        moving = {name: one.detach().requires_grad_() for name, one in noise.items()}
        value = loss(scaled(model, {name: base[name] + one for name, one in moving.items()}))
        slopes = torch.autograd.grad(value, list(moving.values()), allow_unused=True)
    found = zip(moving.items(), slopes, strict=True)
    return {name: torch.zeros_like(one) if slope is None else slope.sign() for (name, one), slope in found}


def _start(like: Tensor, bound: float, rng: torch.Generator | None) -> Tensor:
    if rng is None:
        return torch.zeros_like(like)
    return bound * (2 * torch.rand(like.shape, generator=rng).to(like) - 1)
