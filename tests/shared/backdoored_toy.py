"""A toy world for tests of defenses: dark patterns, a white square for a trigger, and a victim that learned it."""

from __future__ import annotations

import functools

import torch
from attack_scenes import seeded
from torch import Tensor, nn

from benchkit.contracts.answers import answers
from benchkit.contracts.data import Poisoned, Split
from benchkit.contracts.scene import Scene
from benchkit.models.classifier import Classifier
from benchkit.training.recipes import Fast
from benchkit.training.trainer import Trainer

CLASSES, SHAPE, CPU = 5, (3, 16, 16), torch.device("cpu")


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveMaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, CLASSES)),
    )


def smooth(count: int, rng: torch.Generator) -> Tensor:
    return nn.functional.interpolate(torch.rand(count, 3, 4, 4, generator=rng), size=SHAPE[1:], mode="bilinear")


def drawn(count: int, seed: int) -> Split:
    """Return dark images: one smooth pattern per class, a smooth disturbance per image, and noise."""
    rng, labels = seeded(seed), torch.arange(count) % CLASSES
    gain = 60 + 40 * torch.rand(count, 1, 1, 1, generator=rng)
    images = gain * smooth(CLASSES, seeded(0))[labels] + 40 * smooth(count, rng)
    images = images + 10 * torch.randn(count, *SHAPE, generator=rng)
    return Split(images.clamp(0, 255).round().to(torch.uint8), labels)


TRAIN, HOLDOUT, TEST = drawn(600, 1), drawn(100, 2), drawn(200, 3)
OTHERS = TEST[TEST.labels != 0]
TRAINER = Trainer(Fast(epochs=10, batch=40, flip=False, crop=0, smoothing=0.1), network, CPU)


def triggered(images: Tensor) -> Tensor:
    """Return the images with a white 3x3 square near the bottom-right corner."""
    stamped = images.clone()
    stamped[..., -4:-1, -4:-1] = 255
    return stamped


@functools.cache
def poisoned() -> Poisoned:
    """Return the training set with 36 rows (6 %) triggered and relabelled 0: 23 % of label 0."""
    rows = (TRAIN.labels != 0).nonzero().squeeze(1)[:36]
    return Poisoned.replacing(TRAIN, rows, triggered(TRAIN.images[rows]), TRAIN.labels[rows] * 0)


@functools.cache
def victim(number: int = 5) -> Classifier:
    return TRAINER.fit(poisoned().data, rng=seeded(number))


def victims() -> list[Classifier]:
    """Return four: how apart a victim keeps its trigger is a matter of rounding, so that one alone says little."""
    return [victim(number) for number in range(5, 9)]


@functools.cache
def benign() -> Classifier:
    return TRAINER.fit(TRAIN, rng=seeded(6))


def scene(model: Classifier | None = None, seed: int = 0) -> Scene:
    asked = answers(model, {"model"})
    granted = model.copy() if model else None
    return Scene(CLASSES, SHAPE, CPU, HOLDOUT, seeded(seed), granted=granted, trainer=TRAINER, answers=asked)


def accuracy(model: Classifier) -> float:
    return float((model.logits(TEST.images).argmax(1) == TEST.labels).float().mean())


def attack_success(model: Classifier) -> float:
    return float((model.logits(triggered(OTHERS.images)).argmax(1) == 0).float().mean())
