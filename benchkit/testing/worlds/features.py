"""Worlds of planted features: poisoned training sets whose features are known, for filters that look at those.

An image of 1 x 8 x 8 pixels holds 64 features, one in each pixel. Every model here is one linear layer, so its features
are its normalised pixels: those that were planted, but for a shift and a scale common to all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchkit.contracts.data import Poisoned, Split
from benchkit.models.classifier import Classifier
from benchkit.protocol import generator, share_of
from benchkit.testing.worlds.planted import CPU, PlantedWorld
from benchkit.training.recipes import Fast
from benchkit.training.trainer import Trainer

CLASSES, WIDTH, ROWS = 4, 64, 500
"""Number of classes and of features, and training rows of each class."""
APART = 12.0
"""Distance of the means of two classes, in standard deviations of a feature."""
ZERO, STEP = 100, 0.1
"""The grey level of a feature of 0, and what one grey level is: features from -10 to 15.5 fit into a pixel."""


def cluster(eps: float = 0.05, distance: float = 6.0, target: int = 0, *, seed: int = 0) -> PlantedWorld:
    """Return CLUSTER(eps, d): a share of one class's rows is displaced.

    Class c is N(mu_c, I), of 64 features and 500 rows, for 4 classes whose means are 12 apart. A share ``eps`` of the
    rows of class t is drawn from N(mu_t + d u, I) instead, u a fixed unit vector that is orthogonal to all means; these
    are the poison. At test time, the trigger moves an image to there. A model that is trained without the poison takes
    such images for class t, too, so this world measures what a filter drops, and not what becomes of the ASR.

    Args:
        eps: share of class t's rows.
        distance: d.
        target: t.
        seed: of all random numbers.
    """
    train = _drawn(ROWS, generator(seed, "train"))
    rows = (train.labels == target).nonzero().squeeze(1)[: share_of(eps, ROWS)]
    displaced = functools.partial(_displaced, target=target, distance=distance, seed=seed)
    poisoned = Poisoned.replacing(train, rows, displaced(train.images[rows]), train.labels[rows])
    name = f"cluster(eps={eps:g}, distance={distance:g})"
    return _world(name, target, seed, train, poisoned, displaced)


def mislabel(eps: float = 0.05, target: int = 0, *, seed: int = 0) -> PlantedWorld:
    """Return MISLABEL(eps): the classes of :func:`cluster`, none displaced, and wrong labels.

    A share ``eps`` of all rows, from the class after t, has label t: a dirty-label poison without a trigger, so ASR is
    0. The arguments are those of :func:`cluster`.
    """
    train = _drawn(ROWS, generator(seed, "train"))
    source = (target + 1) % CLASSES
    rows = (train.labels == source).nonzero().squeeze(1)[: share_of(eps, len(train))]
    wrong = torch.full_like(train.labels[rows], target)
    poisoned = Poisoned.replacing(train, rows, train.images[rows], wrong)
    return _world(f"mislabel(eps={eps:g})", target, seed, train, poisoned, lambda images: images.clone())


def features_of(images: Tensor) -> Tensor:
    """Return the planted features of images: uint8 (N, 1, 8, 8) -> float32 (N, 64)."""
    return STEP * (images.flatten(1).float() - ZERO)


def means() -> Tensor:
    """Return mu_c, float32 (4, 64): class c has its mean along feature c."""
    return APART / 2**0.5 * torch.eye(CLASSES, WIDTH)


def _images(features: Tensor) -> Tensor:
    return (ZERO + features / STEP).round().clamp(0, 255).to(torch.uint8).view(-1, 1, 8, 8)


def _drawn(rows: int, rng: torch.Generator) -> Split:
    labels = torch.arange(CLASSES).repeat_interleave(rows)
    return Split(_images(means()[labels] + torch.randn(len(labels), WIDTH, generator=rng)), labels)


def _displaced(images: Tensor, *, target: int, distance: float, seed: int) -> Tensor:
    """Return as many images of class t with displaced features."""
    direction = torch.zeros(WIDTH)
    direction[CLASSES:] = (WIDTH - CLASSES) ** -0.5
    noise = torch.randn(len(images), WIDTH, generator=generator(seed, "displaced", str(len(images))))
    return _images(means()[target] + distance * direction + noise)


def _model() -> Classifier:
    """Return the classifier of the nearest mean, whose features are exactly the planted ones."""
    head = nn.Linear(WIDTH, CLASSES)
    with torch.no_grad():
        head.weight.copy_(means())
        head.bias.fill_(-(APART**2) / 4)
    scale = 255 * STEP
    return Classifier(nn.Sequential(nn.Flatten(), head), torch.tensor([ZERO / 255]), torch.tensor([1 / scale]))


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, CLASSES))


def _world(
    name: str, target: int, seed: int, train: Split, poisoned: Poisoned, trigger: Callable[[Tensor], Tensor]
) -> PlantedWorld:
    held, test = (_drawn(50, generator(seed, which)) for which in ("hold-out", "test"))
    trainer = Trainer(Fast(epochs=4, batch=50, flip=False, crop=0), _linear, CPU)
    benign = not poisoned.mask.any()
    made = (_model(), _model(), train, poisoned, held, test, trigger, trainer)
    return PlantedWorld(name, target, CLASSES, *made, bool(benign), seed)
