"""Anti-backdoor learning: find the images that are learned too easily, and unlearn them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import LossFn
    from benchkit.models.classifier import Classifier


@dataclass(frozen=True)
class AntiBackdoorLearning(benchkit.RobustTraining):
    """Train in three steps: isolate the easiest images, train without them, unlearn them.

    1. Isolation (paper, eq. 3): train with local gradient ascent, ``sign(CE - gamma) * CE`` of each batch's mean CE, as
       in the released code: it keeps the mean at ``gamma``, while the loss of backdoored images continues to fall. (A
       sign per image would push their loss back up to ``gamma``.) Take the share ``isolation`` of the images with the
       lowest loss under the same model, in eval mode and without augmentation.
    2. Train a new model on the other images with the benchmark's recipe (the paper continues with the same model).
    3. Unlearning (paper, eq. 4): fine-tune with gradient ascent on the isolated images and descent on ``mix`` times as
       many random others, from the half of each label with the highest loss.

    ``gamma`` and ``isolation`` are those of the paper, and so is the share of isolation in the training (20 of 100
    epochs; released code: 10; at least one epoch). The paper's 60 further epochs become a whole training with the
    benchmark's recipe; the total cost is about one and a half trainings. The 20 passes of unlearning are also the
    paper's (released: 5), at ten times its learning rate, because they have fewer images and so fewer steps. Two
    changes keep unlearning stable. Images are mixed in, because BatchNorm statistics of isolated images alone would
    destroy the model, and the easiest label would be unlearned completely. And the ascent stops once the isolated
    images are misclassified with confidence (CE above 2 ln K), because an unbounded loss has no minimum.
    """

    name = "abl"
    paper = "Li et al., NeurIPS 2021, Anti-Backdoor Learning: Training Clean Models on Poisoned Data"

    gamma: float = benchkit.param(0.5, "loss at which ordinary rows are held during isolation", gt=0)
    isolation: float = benchkit.param(0.01, "share of the training set that is isolated", gt=0, lt=1)
    warmup: float = benchkit.param(
        0.2,
        "length of the isolation training, as a share of the recipe's epochs (paper: 20 of 100)",
        gt=0,
        le=1,
    )
    unlearn_epochs: float = benchkit.param(20, "passes of the unlearning over isolated and mixed-in rows", gt=0)
    unlearn_lr: float = benchkit.param(0.005, "learning rate of the unlearning (paper: 0.0005)", gt=0)
    mix: int = benchkit.param(4, "other rows trained on for each isolated one while unlearning", ge=1)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> Classifier:
        """Return a model trained on all images, on the isolated ones by gradient ascent."""
        order = self._easiest_first(train, scene)
        count = max(1, round(self.isolation * len(train)))
        isolated, rest = order[:count], order[count:]
        model = scene.fit(train[rest])
        others = torch.cat([_harder_half(rest[train.labels[rest] == label]) for label in train.labels[rest].unique()])
        chosen = torch.randperm(len(others), generator=scene.rng)[: self.mix * count].to(others.device)
        mixed = benchkit.Split(
            train.images[torch.cat([isolated, others[chosen]])],
            torch.cat([train.labels[isolated] + scene.classes, train.labels[others[chosen]]]),
        )
        unlearn = _ascend_above(scene.classes)
        return scene.fit(mixed, start=model, epochs=self.unlearn_epochs, lr=self.unlearn_lr, loss=unlearn)

    def _easiest_first(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the indices of all images, lowest loss after local gradient ascent first, int64 (N,)."""
        gamma, epochs = self.gamma, max(1.0, self.warmup * scene.epochs_for(len(train)))

        def local_ascent(logits: Tensor, labels: Tensor) -> Tensor:
            loss = F.cross_entropy(logits, labels)
            return (loss.detach() - gamma).sign() * loss

        model = scene.fit(train, epochs=epochs, loss=local_ascent)
        logits = model.logits(train.images)
        return F.cross_entropy(logits, train.labels.to(logits.device), reduction="none").argsort(stable=True)


def _harder_half(rows: Tensor) -> Tensor:
    """Return the second half of indices that are sorted from easy to hard."""
    return rows[len(rows) // 2 :]


def _ascend_above(classes: int) -> LossFn:
    """Return a loss that is cross-entropy on labels 0..K-1 and its ascent, away from label - K, on labels K..2K-1."""
    enough = 2 * math.log(classes)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, labels % classes, reduction="none")
        return torch.where(labels < classes, losses, -losses.clamp(max=enough))

    return loss


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer anti-backdoor learning."""
    return [AntiBackdoorLearning]
