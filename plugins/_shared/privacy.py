"""Training with differential privacy: clipped and noisy gradients, and the privacy loss of a whole training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.seeded import seeded
from scipy.special import gammaln, logsumexp
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

import benchkit

ORDERS: tuple[int, ...] = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)
"""Orders of the Renyi divergence of which the best is taken."""
NO_PRIVACY = 1e6
"""Stands for a privacy loss without bound."""


def epsilon(rate: float, noise: float, steps: int, delta: float) -> float:
    """Return the privacy loss of a training with noisy sums of clipped gradients, for adding or removing an image.

    Renyi accounting of the Gaussian mechanism on Poisson samples (Mironov et al., 2019, arXiv:1908.10530, section 3.3)
    at whole orders, and ``T RDP(a) + log(1 / delta) / (a - 1)`` at the best of them (Mironov, CSF 2017, proposition 3).

    Args:
        rate: probability of each image to be in a batch, q.
        noise: deviation of the noise as a multiple of the clipping norm, sigma; 0 has no privacy.
        steps: number of steps T.
        delta: probability with which the bound may not hold.
    """
    if not noise:
        return NO_PRIVACY
    found = [steps * renyi(rate, noise, order) + math.log(1 / delta) / (order - 1) for order in ORDERS]
    return min([NO_PRIVACY, *found])


def renyi(rate: float, noise: float, order: int) -> float:
    """Return the Renyi divergence of this order that one step costs at most."""
    if rate >= 1:
        return order / (2 * noise**2)
    terms = [
        gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        + k * math.log(rate) + (order - k) * math.log1p(-rate) + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]  # fmt: skip
    return max(0.0, float(logsumexp(terms))) / (order - 1)


@dataclass(frozen=True)
class Private:
    """DP-SGD (Abadi et al., CCS 2016, algorithm 1): how images are drawn, gradients clipped and noise is added.

    Attributes:
        clip: largest norm of the gradient of one image, C.
        noise: deviation of the noise on their sum, as a multiple of ``clip``, sigma.
        batch: expected number of images in a batch; each is in it with probability batch / N.
        epochs: passes over the training set that are expected.
        lr: learning rate of plain SGD.
    """

    clip: float
    noise: float
    batch: int
    epochs: float
    lr: float

    def rate(self, images: int) -> float:
        """Return the probability of each image to be in a batch."""
        return min(1.0, self.batch / images)

    def steps(self, images: int) -> int:
        """Return the number of steps."""
        return max(1, round(self.epochs / self.rate(images)))

    def epsilon(self, images: int, delta: float) -> float:
        """Return the privacy loss of the training."""
        return epsilon(self.rate(images), self.noise, self.steps(images), delta)

    def trained(self, model: benchkit.Classifier, train: benchkit.Split, rng: torch.Generator) -> benchkit.Classifier:
        """Train a model on a set, which is on its device, and return it in eval mode.

        Raises:
            BenchkitError: if the loss is not finite.
        """
        optimizer = torch.optim.SGD(model.parameters(), self.lr)
        loss = torch.zeros(())
        for rows in self._batches(len(train), rng):
            batch = train[rows.to(train.labels.device)]
            loss = loss + private_gradients(model, batch, self, self.rate(len(train)) * len(train), rng).cpu()
            optimizer.step()
        if not bool(loss.isfinite()):
            raise benchkit.BenchkitError("private training diverged: lower its learning rate")
        return model.eval()

    def _batches(self, images: int, rng: torch.Generator) -> Iterator[Tensor]:
        for _ in range(self.steps(images)):
            yield (torch.rand(images, generator=rng) < self.rate(images)).nonzero().squeeze(1)


def private_gradients(
    model: benchkit.Classifier, batch: benchkit.Split, how: Private, expected: float, rng: torch.Generator
) -> Tensor:
    """Leave clipped, noisy gradients in the weights of a model, and return the sum of the losses, a scalar.

    Args:
        model: a network that does not mix the images of a batch: without batch normalisation.
        batch: any number of images.
        how: clipping and noise.
        expected: expected number of images in a batch, by which the sum is divided.
        rng: a CPU generator; the noise is drawn from it.
    """
    weights = dict(model.net.named_parameters())
    each, losses = _gradients_of_each(model, batch)
    norms = torch.stack([one.flatten(1).norm(dim=1) for one in each.values()]).norm(dim=0)
    factors = (how.clip / norms.clamp(min=1e-12)).clamp(max=1)
    for name, weight in weights.items():
        total = torch.einsum("b,b...->...", factors, each[name])
        if how.noise:  # no noise of an infinite clip would be no number
            total = total + how.noise * how.clip * torch.randn(total.shape, generator=rng).to(total.device)
        weight.grad = total / expected
    return losses.sum()


def _gradients_of_each(model: benchkit.Classifier, batch: benchkit.Split) -> tuple[dict[str, Tensor], Tensor]:
    """Return the gradient of the cross-entropy of each image by weight, (B, ...), and the losses, (B,)."""

    def alone(state: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model.net, state, (image[None],)), label[None])

    fixed = {name: weight.detach() for name, weight in model.net.named_parameters()}
    if not len(batch):  # a Poisson sample may be empty
        return {name: weight[None][:0] for name, weight in fixed.items()}, model.mean[:0]
    found: tuple[dict[str, Tensor], Tensor] = vmap(grad_and_value(alone), (None, 0, 0))(
        fixed, model.normalised(batch.images), batch.labels
    )
    return found


class SmallNet(nn.Sequential):
    """Three strided convolutions and a linear head, without normalisation: 28 k parameters at 3 x 32 x 32."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            *(nn.Conv2d(channels, 16, 5, 2, 2), nn.Tanh(), nn.Conv2d(16, 32, 3, 2, 1), nn.Tanh()),
            *(nn.Conv2d(32, 64, 3, 2, 1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
            nn.Linear(256, classes),
        )


def small_network(scene: benchkit.Scene) -> benchkit.Classifier:
    """Return an untrained network for private training; nothing of it follows from images, not even its scaling."""
    with seeded(scene.rng):
        net = SmallNet(scene.shape[0], scene.classes)
    half, quarter = torch.full((scene.shape[0],), 0.5), torch.full((scene.shape[0],), 0.25)
    return benchkit.Classifier(net, half.to(scene.device), quarter.to(scene.device))
