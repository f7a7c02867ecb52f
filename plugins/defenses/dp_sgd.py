"""Differentially private training, and as a filter: images that it does not learn are suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from benchkit_plugins._shared.privacy import NO_PRIVACY, Private, small_network

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PrivateTraining(benchkit.Defense):
    """The parameters of private training, and the training itself."""

    clip: float = benchkit.param(1.0, "largest norm of the gradient of one image (paper: 1)", gt=0)
    noise: float = benchkit.param(1.0, "deviation of the noise, in clipping norms (paper: 0.5, 1, 2)", ge=0)
    batch: int = benchkit.param(250, "expected images in a batch (paper: 200)", ge=1)
    epochs: float = benchkit.param(15, "passes over the training set (paper: 60)", gt=0)
    lr: float = benchkit.param(0.5, "learning rate (paper: 0.15)", gt=0)

    def trained(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a small network that was privately trained on a set."""
        return self.how().trained(small_network(scene), train.to(scene.device), scene.rng)

    def how(self) -> Private:
        """Return how it trains."""
        return Private(self.clip, self.noise, self.batch, self.epochs, self.lr)


@dataclass(frozen=True)
class PrivateSgd(PrivateTraining, benchkit.RobustTraining):
    """Train a small network so that no single image has much influence: clip each image's gradient, add noise.

    Du et al. 2020 with the mechanism of Abadi et al. 2016: batches are Poisson samples, the gradient of each image is
    clipped to norm ``clip``, noise of deviation ``noise * clip`` is added to their sum, which is divided by the
    expected batch size; plain SGD with a constant learning rate. The record has the privacy loss, epsilon at delta =
    1 / (10 N), by Renyi accounting.

    The model is a network of its own, with tanh and without batch normalisation, which mixes images; it sees images
    without augmentation, scaled by constants. So compare it with ``dp-sgd:noise=0,clip=1e9``, the same without privacy,
    before anything is concluded from its C-Acc and ASR: on ``scenes`` such a network stays at chance without privacy,
    too. Privacy protects against few poisons: at 10 % the group is so large that no guarantee is left.
    """

    name = "dp-sgd"
    paper = "Du et al., ICLR 2020, Robust Anomaly Detection and Backdoor Attack Detection via Differential Privacy"
    metrics = (
        benchkit.Metric("epsilon", better="lower", about=f"privacy loss at delta 1/(10 N); {NO_PRIVACY:g}: none"),
    )

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the private model, and its privacy loss."""
        spent = self.how().epsilon(len(train), 1 / (10 * len(train)))
        return benchkit.Verdict(self.trained(train, scene), metrics={"epsilon": spent})


@dataclass(frozen=True)
class PrivateLoss(PrivateTraining, benchkit.TrainingFilter):
    """Drop the images that a privately trained network has the largest loss on.

    Du et al. 2020: rare images, such as poisons, have too little influence on a private model to be learned. The model
    is that of ``dp-sgd``. It finds few poisons, and those that contradict the other images: thousands of them are
    learned like a class of their own. On ``scenes`` the network stays at chance, and its losses say nothing.
    """

    name = "dp-loss"
    paper = PrivateSgd.paper

    drop: float = benchkit.param(0.15, "share of the training set that is dropped", gt=0, lt=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the loss of each image less that above which a share ``drop`` lies, float32 (N,)."""
        logits = self.trained(train, scene).logits(train.images)
        losses = F.cross_entropy(logits, train.labels.to(logits.device), reduction="none")
        ordered = losses.sort(descending=True).values
        return losses - ordered[benchkit.share_of(self.drop, len(train))]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer private training, and its filter."""
    return [PrivateSgd, PrivateLoss]
