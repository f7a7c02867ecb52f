"""Projected gradient descent: the images within a distance that make a loss as high as possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]
LEAST = 1e-12


def pgd(
    images: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    bound: float,
    norm: Norm = "linf",
    steps: int = 10,
    step: float | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    """Return images that raise their losses, float32 (N, C, H, W) in [0, 1], at most ``bound`` from the given ones.

    Madry et al., ICLR 2018, Section 2.1. Each step goes ``step`` along the sign of the gradient (L-infinity) or along
    the gradient divided by its norm (L2), then back into the ball and into [0, 1]. For a targeted attack return the
    negative loss for the target. The weights of a model in ``loss`` get no gradient. All images are processed at once.

    Args:
        images: uint8, or float in [0, 1], (N, C, H, W).
        loss: float images (N, C, H, W) in [0, 1] -> a number for each image, (N,), which must not depend on the other
            images: ``lambda x: F.cross_entropy(model(x), labels, reduction="none")``.
        bound: the radius of the ball, in units of [0, 1]: 8 / 255 for L-infinity; the L2 norm of the whole image.
        norm: ``linf`` or ``l2``.
        steps: how many.
        step: length of one step; by default 2.5 bound / steps, which reaches the edge from any start.
        rng: a CPU generator for a random start in the ball, as in the paper; without one it starts at the image.

    Raises:
        ValueError: if the bound is negative.
    """
    if bound < 0:
        raise ValueError(f"bound must be 0 or more, got {bound}")
    clean = images.float() / 255 if images.dtype == torch.uint8 else images.detach().float()
    length = 2.5 * bound / max(steps, 1) if step is None else step
    moved = _valid(clean, _start(clean, bound, norm, rng) if rng else torch.zeros_like(clean))
    for _ in range(steps):
        moved = _valid(clean, _projected(moved + length * _uphill(clean + moved, loss, norm), bound, norm))
    return (clean + moved).clamp(0, 1)


def _uphill(images: Tensor, loss: Callable[[Tensor], Tensor], norm: Norm) -> Tensor:
    """Return the direction in which each loss grows, of length 1 in the norm; 0 where there is no gradient."""
    with torch.enable_grad():
        here = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(here).sum(), here)
    return gradient.sign() if norm == "linf" else gradient / _length(gradient).clamp(min=LEAST)


def _projected(moved: Tensor, bound: float, norm: Norm) -> Tensor:
    if norm == "linf":
        return moved.clamp(-bound, bound)
    return moved * (bound / _length(moved).clamp(min=LEAST)).clamp(max=1)


def _valid(clean: Tensor, moved: Tensor) -> Tensor:
    """Return a perturbation cut so that the image stays in [0, 1]; that never makes it longer."""
    return (clean + moved).clamp(0, 1) - clean


def _length(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)
    return length


def _start(clean: Tensor, bound: float, norm: Norm, rng: torch.Generator) -> Tensor:
    """Return a uniform random point of the ball for each image."""
    if norm == "linf":
        return (bound * (2 * torch.rand(clean.shape, generator=rng) - 1)).to(clean.device)
    ray = torch.randn(clean.shape, generator=rng)
    radius = torch.rand(len(clean), 1, 1, 1, generator=rng) ** (1 / max(1, clean[:1].numel()))
    return (bound * radius * ray / _length(ray).clamp(min=LEAST)).to(clean.device)
