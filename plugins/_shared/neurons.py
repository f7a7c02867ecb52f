"""Shared by the optimised triggers: choose neurons of a clean model, read their activations, optimise pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import benchkit


def heaviest(model: benchkit.Classifier, answers: Tensor, point: Tensor, count: int) -> Tensor:
    """Return the neurons of the last hidden layer with the largest sums of |outgoing weight|, int64 (count,).

    All neurons if there are fewer than ``count`` (Liu et al., NDSS 2018, section 4.1). If possible, only neurons that
    ``point`` can change are taken: an inactive ReLU, or a maximum elsewhere in the image, gives no gradient.

    Args:
        model: its head holds the outgoing weights.
        answers: the activations of the neurons, float (F,), with gradients.
        point: the tensor to optimise, from which ``answers`` was computed.
        count: how many to choose.
    """
    order = model.head.weight.detach().abs().sum(0).argsort(descending=True)
    moved = []
    for neuron in order.tolist():
        (gradient,) = torch.autograd.grad(answers[neuron], [point], retain_graph=True)
        if gradient.any():
            moved.append(neuron)
        if len(moved) == count:
            break
    return order.new_tensor(moved) if moved else order[:count]


@contextmanager
def answering(model: benchkit.Classifier) -> Iterator[Callable[[Tensor], Tensor]]:
    """Return a function from images to the inputs of the last linear layer, (N, F), with gradients."""
    seen: dict[str, Tensor] = {}

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen["features"] = inputs[0].float()

    def features(images: Tensor) -> Tensor:
        model(images)
        return seen["features"]

    handle = model.head.register_forward_pre_hook(keep)
    try:
        yield features
    finally:
        handle.remove()


def descending(
    point: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    steps: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    warm_up: int = 1,
) -> Iterator[float]:
    """Minimise a scalar loss over ``point`` (in place) with Adam; after each step, yield the loss before it.

    Between steps the caller may project ``point`` or stop. The learning rate rises linearly over the first ``warm_up``
    steps.
    """
    point.requires_grad_()
    adam = torch.optim.Adam([point], lr=lr, betas=betas)
    try:
        for step in range(1, steps + 1):
            adam.param_groups[0]["lr"] = lr * min(1.0, step / warm_up)
            value = loss(point)
            (point.grad,) = torch.autograd.grad(value, [point])
            adam.step()
            yield float(value.detach())
    finally:
        point.grad = None
        point.requires_grad = False


@contextmanager
def anchored(
    model: benchkit.Classifier, draw: Callable[[Tensor], Tensor], start: Tensor, *, neurons: int, gain: float
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Return A, the distance of the anchor neurons from ``gain`` times their first activations: from 1 down to 0.

    ``A(x) = sum_s (f_s(x) - gain f_s(start))^2`` divided by its value at the start, for one image x, (1, C, H, W). The
    activations at the start are constants: with a gradient through them, A would be smallest where all neurons are
    inactive. The goal of a neuron below the average activation is ``gain`` times the average.

    Args:
        model: the clean model.
        draw: maps the optimised tensor, ``start`` at first, to the image.
        start: the initial value of the optimised tensor.
        neurons: how many anchors to choose.
        gain: the factor by which their activations shall grow.
    """
    point = start.clone().requires_grad_()
    with answering(model) as answers:
        first = answers(draw(point))[0]
        anchors = heaviest(model, first, point, neurons)
        first = first.detach()
        goal = gain * torch.maximum(first[anchors], first.abs().mean())
        scale = (first[anchors] - goal).square().sum().clamp(min=1e-12)
        yield lambda image: (answers(image)[0, anchors] - goal).square().sum() / scale


REACHED = benchkit.Metric(
    "reached", about="share of the way to the asked answers that the chosen neurons came, from where they began"
)


ENOUGH = 0.5
"""The least share of the way that counts as success: attacks also trade activations for small norms or few pixels."""


def reached(left: Tensor) -> Tensor:
    """Return the share of the way to the goal that is done, float64 (); below 0 if the distance has grown.

    Args:
        left: the sum of squared distances to the goal, relative to its value at the start.
    """
    return 1 - left.detach().double().cpu().sqrt()


def short_of(reported: Mapping[str, float]) -> str | None:
    """Return a clause if the neurons reached less than half of the way to their goal."""
    short = reported.get("reached", 1.0) < ENOUGH
    return "the chosen neurons came less than half of the way to the answers that were asked" if short else None


def mean_image(images: Tensor) -> Tensor:
    """Return the mean of uint8 images (N, C, H, W), float32 (1, C, H, W) in [0, 1]."""
    return images.mean(0, keepdim=True, dtype=torch.float32) / 255
