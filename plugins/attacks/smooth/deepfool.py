"""Targeted DeepFool: the smallest perturbation, to first order, that moves one image to a class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Outputs = Callable[[Tensor], Tensor]
"""Maps float images (1, C, H, W) to one value per class, (1, K), differentiably."""
Gate = Callable[[int], bool]
"""Maps the predicted class of the starting image to whether the image is perturbed at all."""


def deepfool(
    outputs: Outputs, image: Tensor, target: int, gate: Gate, *, overshoot: float = 0.02, steps: int = 200
) -> Tensor | None:
    """Return the perturbation (C, H, W) with which ``image`` is classified as ``target``.

    Moosavi-Dezfooli et al., CVPR 2016, targeted at one class as in Zeng et al. (ICCV 2021): with s the class at the
    start, step along w = grad(out_t - out_s) by |out_t - out_s| / |w|^2, which reaches the boundary of a linear model,
    and go ``overshoot`` beyond.

    Args:
        outputs: logits, or probabilities.
        image: float (C, H, W).
        target: the class to reach.
        gate: if it returns False, the result is None.
        overshoot: share by which the sum of all steps is lengthened.
        steps: the maximum number of steps; the result is None if they do not suffice or are impossible.
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
            return None  # saturated probabilities have no gradient, now or at the next step
        moved = moved + step
    return None


def descent(outputs: Outputs, image: Tensor, target: int, gate: Gate) -> Tensor | None:
    """Return one step of length 1 (L2) down the cross entropy of ``target``, (C, H, W); None if ``gate`` returns False.

    Args:
        outputs: logits.
        image: float (C, H, W).
        target: the class to approach.
        gate: receives the predicted class of ``image``.
    """
    point = image.detach().clone().requires_grad_()
    values = outputs(point[None])[0]
    if not gate(int(values.argmax())):
        return None
    (slope,) = torch.autograd.grad(values.log_softmax(0)[target], [point])
    return torch.nn.functional.normalize(slope.flatten(), dim=0).view_as(slope)
