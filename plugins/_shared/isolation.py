"""Loss-based isolation (Li et al., NeurIPS 2021, section 3): which images are learned too easily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


class LocalAscent(benchkit.Steering):
    """Keep the mean loss of each batch at ``gamma`` (eq. 3): ``sign(mean CE - gamma) * mean CE``."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        """Return the mean cross-entropy of logits (B, K), turned around where it is below ``gamma``."""
        mean = F.cross_entropy(logits, step.labels)
        return (mean.detach() - self.gamma).sign() * mean


@dataclass(frozen=True)
class Isolating(benchkit.Defense):
    """The base of defenses that ask which images are learned too easily, and its parameters."""

    gamma: float = benchkit.param(0.5, "loss at which ordinary rows are held during isolation", gt=0)
    warmup: float = benchkit.param(
        0.2, "length of the isolation training, as a share of the recipe's epochs (paper: 20 of 100)", gt=0, le=1
    )

    def isolated_losses(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the loss of each training image after a short training with local gradient ascent, float32 (N,).

        The losses are those of the trained model in evaluation mode, without augmentation. Backdoored images have the
        lowest, because they are learned first and the ascent is one of whole batches. At least one epoch is trained.

        Args:
            train: images and labels, uint8 (N, C, H, W) and int64 (N,).
            scene: trains the model.
        """
        epochs = max(1.0, self.warmup * scene.epochs_for(len(train)))
        model = scene.fit(train, epochs=epochs, steering=LocalAscent(self.gamma))
        logits = model.logits(train.images)
        return F.cross_entropy(logits, train.labels.to(logits.device), reduction="none")
