"""Anti-backdoor learning: find the images that are learned too easily, and unlearn them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.isolation import Isolating

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AntiBackdoorLearning(Isolating, benchkit.RobustTraining):
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

    isolation: float = benchkit.param(0.01, "share of the training set that is isolated", gt=0, lt=1)
    unlearn_epochs: float = benchkit.param(20, "passes of the unlearning over isolated and mixed-in rows", gt=0)
    unlearn_lr: float = benchkit.param(0.005, "learning rate of the unlearning (paper: 0.0005)", gt=0)
    mix: int = benchkit.param(4, "other rows trained on for each isolated one while unlearning", ge=1)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained on all images, on the isolated ones by gradient ascent."""
        order = self.isolated_losses(train, scene).argsort(stable=True)
        count = max(1, round(self.isolation * len(train)))
        isolated, rest = order[:count], order[count:]
        model = scene.fit(train[rest])
        others = torch.cat([_harder_half(rest[train.labels[rest] == label]) for label in train.labels[rest].unique()])
        chosen = torch.randperm(len(others), generator=scene.rng)[: self.mix * count].to(others.device)
        mixed = train[torch.cat([isolated, others[chosen]])]
        unlearning = _Unlearning(count, enough=2 * math.log(scene.classes))
        return scene.fit(mixed, start=model, epochs=self.unlearn_epochs, lr=self.unlearn_lr, steering=unlearning)


def _harder_half(rows: Tensor) -> Tensor:
    """Return the second half of indices that are sorted from easy to hard."""
    return rows[len(rows) // 2 :]


class _Unlearning(benchkit.Steering):
    """Move the first rows away from their labels, as long as their loss is below ``enough``, and train the others."""

    def __init__(self, isolated: int, enough: float) -> None:
        self.isolated, self.enough = isolated, enough

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        losses = F.cross_entropy(logits, step.labels, reduction="none")
        return torch.where(step.rows < self.isolated, -losses.clamp(max=self.enough), losses)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer anti-backdoor learning."""
    return [AntiBackdoorLearning]
