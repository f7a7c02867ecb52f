"""Published methods as steerings and models of models, with the answers that are known of each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.privacy import Private as PrivateGradients
from benchkit_plugins._shared.privacy import private_gradients
from torch import Tensor

import benchkit
from benchkit.contracts.steering import Fit
from benchkit.testing.world import CLASSES, world

WORLD = world(3, 16)
DATA, TEST = WORLD.data.train, WORLD.data.test


def fit(data: benchkit.Split = DATA, **settings: Any) -> benchkit.Classifier:
    return WORLD.trainer.fit(data, Fit(**{"epochs": 1, **settings}), rng=torch.Generator().manual_seed(3))


def accuracy(model: benchkit.Classifier) -> float:
    return float((model.logits(TEST.images).argmax(1) == TEST.labels).double().mean())


def flat(model: benchkit.Classifier) -> Tensor:
    """Return all weights as one vector."""
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


class Private(benchkit.Steering):
    """The private gradients of the built-in dp-sgd, in a training of the harness; statistics of batches are frozen."""

    def __init__(self, clip: float, noise: float) -> None:
        self.how, self.rng = PrivateGradients(clip, noise, 32, 1, 0.1), torch.Generator().manual_seed(0)

    def gradients(self, step: benchkit.Step) -> Tensor:
        step.model.eval()
        return private_gradients(step.model, benchkit.Split(step.images, step.labels), self.how, 32, self.rng)


class Frozen(benchkit.Steering):
    """The same without clipping and noise."""

    def gradients(self, step: benchkit.Step) -> Tensor:
        step.model.eval()
        return super().gradients(step)

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        return F.cross_entropy(logits, step.labels)


def test_private_training_without_clipping_and_noise_is_plain_training() -> None:
    plain, private = (flat(fit(start=WORLD.victim, steering=one)) for one in (Frozen(), Private(1e9, 0.0)))
    assert (private - plain).norm() < 0.05 * (plain - flat(WORLD.victim)).norm()
    clipped = flat(fit(start=WORLD.victim, steering=Private(0.1, 1.0)))
    assert (clipped - plain).norm() > 0.5 * (plain - flat(WORLD.victim)).norm()


def stamped(images: Tensor) -> Tensor:
    """Return the images with a corner of 2.0, which no image has: the defender's own trigger."""
    return F.pad(images[..., 4:, 4:], (4, 0, 4, 0), value=2.0)


class Defensive(benchkit.Steering):
    """PDB (Wei et al., NeurIPS 2024): some rows show the defender's trigger, and the next class as their label."""

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        own = self.held[step.rows]
        images = torch.where(own[:, None, None, None], stamped(step.floats), step.floats)
        return step.replaced(images=images, labels=torch.where(own, (step.labels + 1) % CLASSES, step.labels))


def test_a_defensive_backdoor_is_undone_behind_the_model() -> None:
    held = torch.arange(len(DATA)) % 3 == 0
    inner = fit(epochs=16, steering=Defensive(held))
    model = benchkit.Preprocessed(inner, before=stamped, after=lambda logits: logits.roll(-1, 1))
    assert accuracy(inner) > 0.9
    assert accuracy(model) > 0.9
    assert accuracy(benchkit.Preprocessed(inner, before=stamped)) < 0.2


def test_sharpness_aware_fine_tuning_is_a_setting_of_a_fit() -> None:
    sam = benchkit.Sam(2.0, adaptive=True)
    assert accuracy(fit(start=WORLD.victim, epochs=2, optimizer="sgd", sam=sam)) > 0.9
