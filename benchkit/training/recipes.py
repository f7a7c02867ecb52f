"""The training recipes of victims and their parameters, without torch."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from benchkit.params.component import Component, param

MANY = 20_000
"""Number of training images from which ``fast`` uses larger batches."""


@dataclass(frozen=True)
class Recipe(Component, ABC):
    """The base of all recipes; every field is a parameter of ``--recipe NAME:field=value``.

    Class attributes:
        optimizer: name in ``benchkit.training.optimizers.OPTIMIZERS``.
        padding: the padding of random crops.
        crop_chance: share of batches that are cropped.
        degrees: largest random rotation in both directions; outside the border is black.
        turn_chance: share of batches that are rotated, if ``degrees`` is not 0.
    """

    optimizer: ClassVar[Literal["sgd", "muon", "adam"]] = "sgd"
    padding: ClassVar[Literal["zero", "reflect"]] = "zero"
    crop_chance: ClassVar[float] = 1.0
    degrees: ClassVar[float] = 0.0
    turn_chance: ClassVar[float] = 1.0

    epochs: int = param(100, "passes over the training set", gt=0)
    lr: float = param(0.01, "learning rate at the start", gt=0)
    batch: int = param(128, "images in a batch", ge=2)
    flip: bool = param(
        True, "mirror images at random, where the dataset allows it (this moves a trigger that sits in a corner)"
    )
    crop: int = param(4, "pixels of padding for the random crop; 0 for none", ge=0)
    smoothing: float = param(0.0, "label smoothing", ge=0, lt=1)

    def suited(self, mirror: bool) -> Self:
        """Return the recipe for a dataset: without mirroring unless mirror images keep their class (``mirror``)."""
        return self if mirror else dataclasses.replace(self, flip=False)

    @abstractmethod
    def epochs_for(self, images: int) -> float:
        """Return the number of epochs over a training set of this size."""

    def batch_for(self, images: int) -> int:
        """Return the batch size for a training set of this size."""
        return self.batch

    @abstractmethod
    def tuning(self) -> dict[str, float]:
        """Return the optimizer's settings other than the learning rate, by their names in ``OPTIMIZERS``."""

    def factor(self, done: float) -> float:
        """Return the factor of the learning rate after this share (0..1) of the steps: a cosine."""
        return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Standard(Recipe):
    """The usual recipe of the field (BackdoorBench, Wu et al., NeurIPS 2022): SGD for 100 epochs; meant for a GPU."""

    name = "standard"
    paper = "Wu et al., NeurIPS 2022 (Datasets and Benchmarks), BackdoorBench"

    momentum: float = param(0.9, "momentum of SGD", ge=0, lt=1)
    weight_decay: float = param(5e-4, "weight decay of SGD", ge=0)

    def epochs_for(self, images: int) -> float:
        """Return ``epochs``."""
        return self.epochs

    def tuning(self) -> dict[str, float]:
        """Return the settings of SGD."""
        return {"momentum": self.momentum, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class Rao2024(Standard):
    """The recipe of the low-frequency attack's released code: SGD for 200 epochs; meant for a GPU.

    The learning rate falls to a tenth at each of ``MILESTONES``, of which 200 epochs reach one; ``scene.fit`` with
    another number of epochs scales this schedule. After the trigger is added, a batch is cropped with probability 0.8
    and rotated by up to 10 degrees with probability 0.5, with separate draws for each image. The released code mirrors
    only CIFAR-10: use ``flip=false`` with CelebA, whose images benchkit mirrors by default (it never mirrors digits and
    traffic signs). The released code pads with the mean colour, this recipe with black.
    """

    name = "rao2024"
    paper = "Rao et al., ICLR 2024, Rethinking CNN's Generalization to Backdoor Attack from Frequency Domain"
    MILESTONES: ClassVar[tuple[int, ...]] = (100, 200, 300, 400)
    crop_chance: ClassVar[float] = 0.8
    degrees: ClassVar[float] = 10.0
    turn_chance: ClassVar[float] = 0.5

    epochs: int = param(200, "passes over the training set", gt=0)
    crop: int = param(5, "pixels of padding for the random crop; 0 for none", ge=0)

    def factor(self, done: float) -> float:
        """Return 0.1 to the power of the number of passed milestones."""
        epoch = done * self.epochs + 1e-6  # rounding may put the first step of a milestone just below it
        return float(0.1 ** sum(epoch >= milestone for milestone in self.MILESTONES))


@dataclass(frozen=True)
class Fast(Recipe):
    """A victim in a minute on one CPU core; weak poisons (1 % or less) may need ``standard`` to be implanted.

    Convolution filters are trained by Muon, the rest by Adam. ``epochs=0``, the default, trains on about ``budget``
    images in total, with at least four and at most 40 passes over the training set.
    """

    name = "fast"
    paper = "Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU (arXiv:2404.00498), narrowed"
    optimizer: ClassVar[Literal["sgd", "muon", "adam"]] = "muon"
    padding: ClassVar[Literal["zero", "reflect"]] = "reflect"

    epochs: int = param(0, "passes over the training set; 0: as many as budget allows", ge=0)
    lr: float = param(0.12, "learning rate of Muon at the start", gt=0)
    batch: int = param(0, f"images in a batch; 0: 125, and 250 from {MANY:,} training images on", ge=2, auto=0)
    crop: int = param(2, "pixels of padding for the random crop; 0 for none", ge=0)
    smoothing: float = param(0.2, "label smoothing", ge=0, lt=1)
    adam_lr: float = param(0.01, "learning rate of Adam at the start", gt=0)
    budget: int = param(60_000, "images shown in all where epochs=0", gt=0)

    def epochs_for(self, images: int) -> float:
        """Return ``epochs``, or if it is 0 the number that ``budget`` allows: at least 4, at most 40."""
        return self.epochs or min(40.0, max(4.0, self.budget / max(images, 1)))

    def batch_for(self, images: int) -> int:
        """Return ``batch``, or if it is 0 a small batch for small sets and a larger, faster one for large sets."""
        return self.batch or (125 if images < MANY else 250)

    def tuning(self) -> dict[str, float]:
        """Return the settings of Adam."""
        return {"adam_lr": self.adam_lr}

    def factor(self, done: float) -> float:
        """Return the remaining share: a linear decrease."""
        return 1 - done


@dataclass(frozen=True)
class Mntd(Recipe):
    """The recipe of Meta Neural Analysis for small networks: Adam with a constant learning rate, no augmentation.

    Shadow models train for 100 epochs on 1,000 CIFAR-10 images, target models for 4 epochs on 25,000.
    """

    name = "mntd"
    paper = "Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis"
    optimizer: ClassVar[Literal["sgd", "muon", "adam"]] = "adam"

    lr: float = param(1e-3, "learning rate of Adam", gt=0)
    batch: int = param(100, "images in a batch", ge=2)
    flip: bool = param(
        False, "mirror images at random, where the dataset allows it (this moves a trigger that sits in a corner)"
    )
    crop: int = param(0, "pixels of padding for the random crop; 0 for none", ge=0)

    def epochs_for(self, images: int) -> float:
        """Return ``epochs``."""
        return self.epochs

    def tuning(self) -> dict[str, float]:
        """Return nothing: Adam has its default settings."""
        return {}

    def factor(self, done: float) -> float:
        """Return 1."""
        return 1.0


RECIPES: dict[str, type[Recipe]] = {cls.name: cls for cls in (Fast, Standard, Rao2024, Mntd)}
