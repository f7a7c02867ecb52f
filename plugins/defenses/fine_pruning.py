"""Fine-pruning: remove the features that are dormant on clean images, then fine-tune the model."""

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


@dataclass(frozen=True)
class FinePruning(benchkit.CleanImages, benchkit.ModelRepair):
    """Prune the most dormant inputs of the last linear layer until clean accuracy drops, then fine-tune.

    These features come from the channels of the last convolution: one per channel if the maps are pooled. Pruning the
    inputs of the linear layer also works if a skip connection adds to the last convolution; pruning its own channels
    could then have no effect. They are ranked by their mean over the clean hold-out (as in BackdoorBench's code). As
    many of the most dormant ones are removed as the accuracy on the same hold-out allows: it may drop by ``max_drop``
    (paper: 4 points). Bisection finds the number with log2(features) passes over the hold-out instead of one per
    feature. At least one feature remains.

    During fine-tuning, the last layer reads 0 for a pruned feature. Afterwards its weights for that feature are 0.

    ``epochs`` is reduced (BackdoorBench: 100, backdoor-toolbox: 10).
    """

    name = "fine-pruning"
    paper = "Liu et al., RAID 2018, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks"

    max_drop: float = benchkit.param(0.04, "accuracy on the hold-out that pruning may cost", ge=0, lt=1)
    epochs: float = benchkit.param(20, "passes of the fine-tune over the clean hold-out", gt=0)
    lr: float = benchkit.param(0.01, "learning rate of the SGD fine-tune", gt=0)

    def repair(self, scene: benchkit.Scene) -> benchkit.Classifier:
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

    def _count(self, model: benchkit.Classifier, order: Tensor, clean: benchkit.Split) -> int:
        """Return how many features of ``order`` can be removed: the largest number found with an allowed accuracy."""
        floor = _accuracy(model, order[:0], clean) - self.max_drop
        fine, bad = 0, len(order)
        while bad - fine > 1:
            middle = (fine + bad) // 2
            kept = _accuracy(model, order[:middle], clean) >= floor
            fine, bad = (middle, bad) if kept else (fine, middle)
        return fine


def _accuracy(model: benchkit.Classifier, pruned: Tensor, clean: benchkit.Split) -> float:
    """Return the accuracy of a model on clean images without some of its features."""
    with _muted(model.head, pruned):
        return float((model.logits(clean.images).argmax(dim=1) == clean.labels).double().mean())


@contextmanager
def _muted(head: nn.Linear, features: Tensor) -> Iterator[None]:
    """Set some inputs of a layer to 0 within the context, also in copies made there."""

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
