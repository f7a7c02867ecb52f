"""Fine-pruning: remove the features that clean images leave dormant, then fine-tune what is left."""

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

    from benchkit.models.classifier import Classifier


@dataclass(frozen=True)
class FinePruning(benchkit.ModelRepair):
    """Prune the most dormant inputs of the last linear layer until clean accuracy falls, then fine-tune.

    These features are what the last convolution's channels become on their way to the classifier: one each, where
    maps are pooled. Pruning them there also works where a skip connection adds to the last convolution, whose own
    channels could then be muted without effect. They are ranked by their mean over the clean hold-out (as released
    in BackdoorBench). The most dormant are removed, as many as the accuracy on that same hold-out allows: it may
    fall by ``max_drop`` (paper: 4 points). The number is found by bisection, which needs log2(features) passes over
    the hold-out and not one per feature. At least one feature stays.

    A pruned feature is 0 where the last layer reads it during the fine-tune, and so it is afterwards: that layer's
    weights for it are 0.

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
        order = model.features(scene.clean.images).double().flatten(0, -2).mean(dim=0).argsort()
        pruned = order[: self._count(model, order, scene.clean)]
        with _muted(model.head, pruned):
            tuned = scene.fit(scene.clean, start=model, epochs=self.epochs, lr=self.lr)
        model.load_state_dict(tuned.state_dict())
        with torch.no_grad():
            model.head.weight[:, pruned] = 0
        return model

    def _count(self, model: Classifier, order: Tensor, clean: benchkit.Split) -> int:
        """Return how many features of ``order`` can go: the largest count found whose accuracy is allowed."""
        floor = _accuracy(model, order[:0], clean) - self.max_drop
        fine, bad = 0, len(order)
        while bad - fine > 1:
            middle = (fine + bad) // 2
            kept = _accuracy(model, order[:middle], clean) >= floor
            fine, bad = (middle, bad) if kept else (fine, middle)
        return fine


def _accuracy(model: Classifier, pruned: Tensor, clean: benchkit.Split) -> float:
    """Return the share of clean images that a model gets right without some of its features."""
    with _muted(model.head, pruned):
        return float((model.logits(clean.images).argmax(dim=1) == clean.labels).double().mean())


@contextmanager
def _muted(head: nn.Linear, features: Tensor) -> Iterator[None]:
    """Set some of a layer's inputs to 0 for a while, also in copies made meanwhile."""

    def mute(_head: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].index_fill(-1, features, 0.0),)

    handle = head.register_forward_pre_hook(mute)
    try:
        yield
    finally:
        handle.remove()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer fine-pruning."""
    return [FinePruning]
