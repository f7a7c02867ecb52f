"""The training of the frequency detector: rounds of clean images and newly made copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from .net import FrequencyNet


@dataclass(frozen=True)
class TrainingSchedule:
    """The length and the learning rate of the training.

    Attributes:
        rounds: how often new copies are made.
        epochs: passes over clean images and copies per round.
        batch: images per step.
        lr: learning rate of Adadelta; of SGD with momentum 0.9 for a linear classifier.
        anneal: whether the learning rate falls to 0 over the second half of the steps.
        settled: keep the running statistics of batch normalisation, and train with them; for few steps. Statistics
            change by a hundredth per step, so weights that fit those of the batches would not fit them.
    """

    rounds: int
    epochs: int
    batch: int
    lr: float
    anneal: bool
    settled: bool = False


def train(
    net: FrequencyNet, clean: Tensor, copies: Callable[[Tensor], Tensor], course: TrainingSchedule, rng: torch.Generator
) -> None:
    """Train a network to separate clean images from copies that ``copies(clean)`` makes anew in every round.

    Args:
        net: on the device of the images; left in training mode.
        clean: uint8 (N, C, H, W).
        copies: returns one manipulated copy of every image.
        course: the training schedule.
        rng: a CPU generator.
    """
    net.train()
    for layer in net.modules():
        if course.settled and isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    optimiser = _optimiser(net, course.lr)
    steps = course.rounds * course.epochs * -(-2 * len(clean) // course.batch)
    schedule = LambdaLR(optimiser, lambda step: min(1.0, 2 - 2 * step / steps) if course.anneal else 1.0)
    labels = torch.arange(2, device=clean.device).repeat_interleave(len(clean))
    known = net.ready(clean)
    for _ in range(course.rounds):
        both = torch.cat([known, net.ready(copies(clean))])
        for rows in _batches(len(both), course, rng, clean.device):
            optimiser.zero_grad()
            net.loss(both[rows], labels[rows]).backward()
            optimiser.step()
            schedule.step()


def _batches(count: int, course: TrainingSchedule, rng: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    for _ in range(course.epochs):
        yield from torch.randperm(count, generator=rng).to(device).split(course.batch)


def _optimiser(net: FrequencyNet, lr: float) -> torch.optim.Optimizer:
    penalised = net.penalised()
    marked = {id(weight) for weight in penalised}
    others = [weight for weight in net.parameters() if id(weight) not in marked]
    # torch halves the L2 penalty, Keras does not: l2(1e-4) in Keras is a weight decay of 2e-4 here.
    groups: list[dict[str, Any]] = [{"params": penalised, "weight_decay": 2e-4}, {"params": others}]
    if net.arch != "cnn6":  # Adadelta's steps start so small that a linear classifier would not converge
        return torch.optim.SGD(groups, lr=lr, momentum=0.9)
    return torch.optim.Adadelta(groups, lr=lr, rho=0.95, eps=1e-7, foreach=True)
