"""How victims are trained: the recipes and their parameters, without torch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from benchkit.params import Component, param


@dataclass(frozen=True)
class Recipe(Component, ABC):
    """The base of the recipes; every field is a parameter of ``--recipe NAME:field=value``.

    Class attributes:
        schedule: how the learning rate falls to zero over the training, step by step.
        padding: what a random crop sees beyond the border.
    """

    schedule: ClassVar[Literal["linear", "cosine"]] = "cosine"
    padding: ClassVar[Literal["zero", "reflect"]] = "zero"

    epochs: int = param(100, "passes over the training set", gt=0)
    lr: float = param(0.01, "learning rate at the start", gt=0)
    batch: int = param(128, "images in a batch", ge=2)
    flip: bool = param(True, "mirror images at random (this moves a trigger that sits in a corner)")
    crop: int = param(4, "pixels of padding for the random crop; 0 for none", ge=0)
    smoothing: float = param(0.0, "label smoothing", ge=0, lt=1)

    @abstractmethod
    def epochs_for(self, images: int) -> float:
        """Return the passes over a training set of so many images."""

    def factor(self, done: float) -> float:
        """Return what the learning rate is multiplied by when this share (0..1) of the steps is done."""
        return 1 - done if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Standard(Recipe):
    """The field's recipe (BackdoorBench, Wu et al., NeurIPS 2022): SGD for 100 epochs; meant for a GPU."""

    name = "standard"
    paper = "Wu et al., NeurIPS 2022 (Datasets and Benchmarks), BackdoorBench"

    momentum: float = param(0.9, "momentum of SGD", ge=0, lt=1)
    weight_decay: float = param(5e-4, "weight decay of SGD", ge=0)

    def epochs_for(self, images: int) -> float:
        """Return ``epochs``."""
        return self.epochs


@dataclass(frozen=True)
class Fast(Recipe):
    """A victim in a minute on one CPU core; weak poisons (1 % and less) may need ``standard`` to take hold.

    Convolution filters are trained by Muon, the rest by Adam. ``epochs=0``, the default, shows the network
    about ``budget`` images in all, but makes at least two and at most 40 passes over the training set.
    """

    name = "fast"
    paper = "Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU (arXiv:2404.00498), narrowed"
    schedule: ClassVar[Literal["linear", "cosine"]] = "linear"
    padding: ClassVar[Literal["zero", "reflect"]] = "reflect"

    epochs: int = param(0, "passes over the training set; 0: as many as budget allows", ge=0)
    lr: float = param(0.12, "learning rate of Muon at the start", gt=0)
    batch: int = param(125, "images in a batch", ge=2)
    crop: int = param(2, "pixels of padding for the random crop; 0 for none", ge=0)
    smoothing: float = param(0.2, "label smoothing", ge=0, lt=1)
    adam_lr: float = param(0.01, "learning rate of Adam at the start", gt=0)
    budget: int = param(60_000, "images shown in all where epochs=0", gt=0)

    def epochs_for(self, images: int) -> float:
        """Return ``epochs``, or where it is 0 what ``budget`` allows: at least 2, at most 40."""
        return self.epochs or min(40.0, max(2.0, self.budget / max(images, 1)))


RECIPES: dict[str, type[Recipe]] = {"fast": Fast, "standard": Standard}
