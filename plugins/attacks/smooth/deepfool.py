"""Targeted DeepFool: the smallest step, to first order, that takes one image to a class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Outputs = Callable[[Tensor], Tensor]
"""Maps float images (1, C, H, W) to one value per class, (1, K), differentiably."""
Gate = Callable[[int], bool]
"""Told the class that the starting image is given, says whether to move it at all."""


def deepfool(
    outputs: Outputs, image: Tensor, target: int, gate: Gate, *, overshoot: float = 0.02, steps: int = 200
) -> Tensor | None:
    """Return the perturbation (C, H, W) after which ``image`` is given the class ``target``.

    Moosavi-Dezfooli et al., CVPR 2016, towards one class as Zeng et al. (ICCV 2021) use it: with s the
    class at the start, step along w = grad(out_t - out_s) by |out_t - out_s| / |w|^2, which reaches the boundary
    of a linear model, and go ``overshoot`` beyond.

    Args:
        outputs: logits, or probabilities.
        image: float (C, H, W).
        target: the class to reach.
        gate: where it says no, None is returned.
        overshoot: share by which the sum of all steps is lengthened.
        steps: most steps to take; None is returned where they do not suffice, or cannot be taken.
    """
    moved, source = torch.zeros_like(image), -1
    for _ in range(steps + 1):
        point = (image + (1 + overshoot) * moved).requires_grad_()
        values = outputs(point[None])[0]
        answer = int(values.argmax())
        if source < 0 and not gate(answer):
            return None
        if answer == target:
            return (1 + overshoot) * moved
        source = answer if source < 0 else source
        gap = values[target] - values[source]
        (slope,) = torch.autograd.grad(gap, [point])
        step = gap.detach().abs() / slope.square().sum() * slope
        if not step.isfinite().all():
            return None  # saturated probabilities have no slope, and would have none at the next step
        moved = moved + step
    return None


def descent(outputs: Outputs, image: Tensor, target: int, gate: Gate) -> Tensor | None:
    """Return one step of length 1 (L2) down the cross entropy of ``target``, (C, H, W); None where ``gate`` says no.

    Args:
        outputs: logits.
        image: float (C, H, W).
        target: the class to approach.
        gate: told the class of ``image``.
    """
    point = image.detach().clone().requires_grad_()
    values = outputs(point[None])[0]
    if not gate(int(values.argmax())):
        return None
    (slope,) = torch.autograd.grad(values.log_softmax(0)[target], [point])
    return torch.nn.functional.normalize(slope.flatten(), dim=0).view_as(slope)
