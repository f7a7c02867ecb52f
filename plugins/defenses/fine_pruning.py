"""Fine-pruning: remove the channels that clean images leave dormant, then fine-tune what is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.models import Classifier


@dataclass(frozen=True)
class FinePruning(benchkit.ModelRepair):
    """Prune the last convolution's most dormant channels until clean accuracy falls, then fine-tune.

    Channels are ranked by their mean activation (after the BatchNorm that follows, where one does, and a
    ReLU) over the clean hold-out. The most dormant are removed, as many as the accuracy on that same hold-out
    allows: it may fall by ``max_drop`` (paper: 4 points). The number is found by bisection, which needs
    log2(channels) passes over the hold-out and not one per channel. At least one channel stays.

    A pruned channel is exactly 0 during and after the fine-tune: its filter and bias and, where a BatchNorm
    follows, that layer's weight, bias and running mean are zeroed, so that no bias brings it back as a
    constant.

    ``epochs`` is scaled down (BackdoorBench: 100, backdoor-toolbox: 10).
    """

    name = "fine-pruning"
    paper = "Liu et al., RAID 2018, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks"

    max_drop: float = benchkit.param(0.04, "accuracy on the hold-out that pruning may cost", ge=0, lt=1)
    epochs: float = benchkit.param(20, "passes of the fine-tune over the clean hold-out", gt=0)
    lr: float = benchkit.param(0.01, "learning rate of the SGD fine-tune", gt=0)

    def repair(self, scene: benchkit.Scene) -> Classifier:
        """Return the pruned and fine-tuned victim."""
        model = scene.model
        layers = _last_layers(model, scene.clean.images[:2])
        order = _mean_activation(model, layers[-1], scene.clean.images).argsort()
        pruned = order[: self._count(model, layers[-1], order, scene.clean)]
        tuned = self._fine_tune(model, layers[-1], pruned, scene)
        model.load_state_dict(tuned.state_dict())
        _zero(layers, pruned)
        return model

    def _count(self, model: Classifier, layer: nn.Module, order: Tensor, clean: benchkit.Split) -> int:
        """Return how many channels of ``order`` can go: the largest count found whose accuracy is allowed."""
        floor = _accuracy(model, clean) - self.max_drop
        fine, bad = 0, len(order)
        while bad - fine > 1:
            middle = (fine + bad) // 2
            with _muted(layer, order[:middle]):
                kept = _accuracy(model, clean) >= floor
            fine, bad = (middle, bad) if kept else (fine, middle)
        return fine

    def _fine_tune(self, model: Classifier, layer: nn.Module, pruned: Tensor, scene: benchkit.Scene) -> Classifier:
        """Fine-tune with the channels muted, so that the rest learns to do without them."""
        with _muted(layer, pruned):
            return scene.fit(scene.clean, start=model, epochs=self.epochs, lr=self.lr)


@contextmanager
def _muted(layer: nn.Module, channels: Tensor) -> Iterator[None]:
    """Multiply some of a layer's output channels by 0 for a while, also in copies made meanwhile."""

    def mute(layer: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output.index_fill(1, channels, 0.0)

    handle = layer.register_forward_hook(mute)
    try:
        yield
    finally:
        handle.remove()


def _last_layers(model: Classifier, images: Tensor) -> list[nn.Module]:
    """Return the last convolution and, where one reads its output, the BatchNorm after it."""
    layers: list[nn.Module] = [model.last_conv]
    seen: list[Tensor] = []
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]

    def remember(conv: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output)

    def follow(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if any(inputs[0] is output for output in seen):
            layers.append(norm)

    handles = [model.last_conv.register_forward_hook(remember)]
    handles += [norm.register_forward_pre_hook(follow) for norm in norms]
    model.logits(images)
    for handle in handles:
        handle.remove()
    return layers[:2]


def _mean_activation(model: Classifier, layer: nn.Module, images: Tensor) -> Tensor:
    """Return each output channel's mean ReLU activation over the images, float64 (channels,)."""
    sums: list[Tensor] = []

    def add_up(layer: nn.Module, inputs: object, output: Tensor) -> None:
        sums.append(output.float().relu().mean(dim=(2, 3)).double().sum(dim=0))

    handle = layer.register_forward_hook(add_up)
    model.logits(images)
    handle.remove()
    return torch.stack(sums).sum(dim=0) / len(images)


def _accuracy(model: Classifier, clean: benchkit.Split) -> float:
    return float((model.logits(clean.images).argmax(dim=1) == clean.labels).double().mean())


@torch.no_grad()
def _zero(layers: list[nn.Module], channels: Tensor) -> None:
    """Zero the channels' filters, biases and running means: their output becomes exactly 0."""
    for layer in layers:
        for part in (layer.weight, layer.bias, getattr(layer, "running_mean", None)):
            if isinstance(part, torch.Tensor):
                part[channels] = 0


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer fine-pruning."""
    return [FinePruning]
