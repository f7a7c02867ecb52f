"""A toy world: small learnable images, a small network, and scenes like those of the harness."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchkit.contracts import checks
from benchkit.contracts.absent import PREPARED
from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Data, Poisoned, Split, Tensors, Unlabelled
from benchkit.contracts.defense import Defense
from benchkit.contracts.given import given_to, held_by
from benchkit.contracts.scene import Scene
from benchkit.contracts.steering import Fit
from benchkit.protocol import share_of
from benchkit.training.recipes import Fast
from benchkit.training.trainer import Trainer

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier

CLASSES = 4
SHADOWS = 24
"""Maximum number of shadow models for a defense."""
RATE = 0.15
CPU = torch.device("cpu")
SHAPES = ((3, 16), (1, 16), (3, 32), (1, 32), (3, 64), (1, 64))
"""Channels and side of the available worlds, in the order in which they are tried."""


def network(channels: int, classes: int = CLASSES) -> nn.Module:
    """Return an untrained network of two convolutions for images of any size."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveMaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, classes)),
    )


def _patterns(channels: int, side: int, rng: torch.Generator) -> Tensor:
    """Return one smooth picture per class, float32 (CLASSES, C, H, W), about 40..200."""
    coarse = 40 + 160 * torch.rand(CLASSES, channels, 4, 4, generator=rng)
    return nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def _split(count: int, patterns: Tensor, rng: torch.Generator) -> Split:
    """Return ``count`` noisy copies of the patterns, balanced over the classes."""
    labels = torch.arange(count) % CLASSES
    noise = 20 * torch.randn(count, *patterns.shape[1:], generator=rng)
    return Split((patterns[labels] + noise).clamp(0, 255).round().to(torch.uint8), labels)


@dataclass(frozen=True)
class World:
    """Four classes of ``side`` x ``side`` images of 1 or 3 channels on a device, and the data of each party."""

    channels: int
    side: int
    device: torch.device = CPU

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.side, self.side

    @functools.cached_property
    def data(self) -> Data:
        """256 training images (the attacker's), 64 test images."""
        return Data(self._drawn[0], self._drawn[2], tuple(f"class-{label}" for label in range(CLASSES)))

    @functools.cached_property
    def holdout(self) -> Split:
        """64 clean images outside of the training set (the defender's)."""
        return self._drawn[1]

    @functools.cached_property
    def _drawn(self) -> tuple[Split, Split, Split]:
        rng = torch.Generator().manual_seed(self.channels)
        patterns = _patterns(self.channels, self.side, rng)
        train, held, test = (_split(count, patterns, rng).to(self.device) for count in (256, 64, 64))
        return train, held, test

    @functools.cached_property
    def poisoned(self) -> Poisoned:
        """The training set with a white 4 x 4 corner on 15 % of it, relabelled to class 0."""
        train = self.data.train
        rows = (train.labels != 0).nonzero().squeeze(1)[: share_of(RATE, len(train))]
        return Poisoned.replacing(train, rows, self.triggered(train.images[rows]), train.labels[rows] * 0)

    def triggered(self, images: Tensor) -> Tensor:
        """Return the images with the trigger of this world's victim."""
        stamped = images.clone()
        stamped[..., -4:, -4:] = 255
        return stamped

    @property
    def inputs(self) -> Tensor:
        """Inputs of a deployed model: 16 clean and 16 triggered test images, uint8 (32, C, H, W)."""
        images = self.data.test.images[:16]
        return torch.cat([images, self.triggered(images)])

    @functools.cached_property
    def trainer(self) -> Trainer:
        """A recipe of 64 steps."""
        recipe = Fast(epochs=8, batch=32, flip=False, crop=0)
        return Trainer(recipe, functools.partial(network, self.channels), self.device)

    @functools.cached_property
    def clean_model(self) -> Classifier:
        """A model trained on clean data, for attackers."""
        return self.trainer.fit(self.data.train, rng=torch.Generator().manual_seed(1))

    @functools.cached_property
    def victim(self) -> Classifier:
        """A backdoored model, for defenders."""
        return self.trainer.fit(self.poisoned.data, rng=torch.Generator().manual_seed(2))

    def preparing(self, component: Attack | Defense, *, seed: int = 0) -> Scene:
        """Return the scene of ``prepare``: with a model and a trainer only for attacks that declare a model."""
        if isinstance(component, Defense):
            others = dict.fromkeys(component.other_datasets(), self.data.train)
            scene = self._scene(held_by(component, self.holdout), seed)
            return replace(scene, shadows=self._shadows(component), others=others)
        return self._scene(equipped(self.data.train, component), seed, **self._modelled(component))

    def drawing(self, *, seed: int = 0) -> Scene:
        """Return the scene of ``draw``: that of ``prepare`` without a model."""
        return self._scene(self.data.train, seed)

    def attacking(self, attack: Attack, *, seed: int = 0) -> Scene:
        """Return the scene of ``stamp``, ``control`` and ``target_labels``, with what training learned."""
        ready = {**prepared(attack, self), **learned(attack, self)}
        train = equipped(self.data.train, attack)
        return self._scene(train, seed, ready=ready, rate=RATE, level=attack.test_strength)

    def poisoning(self, attack: Attack, *, seed: int = 0) -> Scene:
        """Return the scene of ``poison``, before anything is learned."""
        ready = dict(prepared(attack, self))
        train = equipped(self.data.train, attack)
        return self._scene(train, seed, ready=ready, rate=RATE, level=1.0, **self._modelled(attack))

    def training(self, attack: Attack, *, seed: int = 0) -> Scene:
        """Return the scene of an attack's ``train``: that of ``poison`` with a trainer for all."""
        return replace(self.poisoning(attack, seed=seed), trainer=self.trainer)

    def fitting(self, defense: Defense, *, seed: int = 0) -> Scene:
        """Return the scene of a defense's ``fit``: a trainer, and the hold-out and the victim if they are declared."""
        ready, victim = dict(prepared(defense, self)), self.victim.copy() if defense.asks_victim() else None
        known = copied(self.poisoned.data) if defense.asks_train() else None
        scene = self._scene(held_by(defense, self.holdout), seed, ready=ready, trainer=self.trainer)
        return replace(scene, **given_to(defense, victim, known))

    def defending(self, defense: Defense, *, seed: int = 0) -> Scene:
        """Return the scene in which a defense acts: that of ``fit``, with what ``fit`` returned."""
        scene = self.fitting(defense, seed=seed)
        if not defense.has_victim:
            return scene
        return replace(scene, fitted={name: one.clone() for name, one in fitted(defense, self).items()})

    def _shadows(self, defense: Defense) -> list[Classifier]:
        """Return the first shadow models that a defense describes, with the small network of the world."""
        wanted = defense.shadows()
        numbers = range(min(SHADOWS, wanted.count)) if wanted else ()
        scenes = [self._scene(held_by(defense, self.holdout), number) for number in numbers]
        splits = [wanted.split(number, scene) for number, scene in enumerate(scenes)] if wanted else []
        return [
            self.trainer.fit(split, Fit(epochs=1), rng=scene.rng) for split, scene in zip(splits, scenes, strict=True)
        ]

    def _modelled(self, attack: Attack) -> dict[str, Any]:
        return {"model": self.clean_model.copy(), "trainer": self.trainer} if "model" in attack.needs else {}

    def _scene(
        self,
        held: Split | None,
        seed: int,
        *,
        ready: Tensors = PREPARED,
        rate: float | None = None,
        model: Classifier | None = None,
        trainer: Trainer | None = None,
        level: float | None = None,
    ) -> Scene:
        copy = copied(held) if held is not None else None
        rng = torch.Generator().manual_seed(seed)
        return Scene(CLASSES, self.shape, self.device, copy, rng, ready, rate, model, trainer, level=level)


def copied(split: Split) -> Split:
    """Return an independent copy."""
    images = split.images.clone()
    bare = isinstance(split, Unlabelled)
    return Unlabelled(images) if bare else replace(split, images=images, labels=split.labels.clone())


def equipped(split: Split, attack: Attack) -> Split:
    """Return a copy in which a third of each class has the attributes that an attack asks for."""
    third = torch.arange(len(split), device=split.labels.device) // CLASSES % 3 == 0
    return replace(copied(split), attributes={name: third.clone() for name in attack.attributes()})


@functools.cache
def world(channels: int, side: int, device: torch.device = CPU) -> World:
    """Return a world; its data and models are made on first use and cached."""
    return World(channels, side, device)


@functools.lru_cache(maxsize=64)
def prepared(component: Attack | Defense, where: World) -> Tensors:
    """Return the result of ``component.prepare`` in a world, computed once; wrappers use that of the wrapped attack."""
    maker = component.crafter() if isinstance(component, Attack) else component
    made = maker.prepare(where.preparing(maker))
    return _loaded({**made, **maker.draw(where.drawing())} if isinstance(maker, Attack) else made, where)


def _loaded(made: Tensors, where: World) -> Tensors:
    return {name: tensor.to(where.device) for name, tensor in made.items()}  # as the harness hands them on


@functools.lru_cache(maxsize=64)
def learned(attack: Attack, where: World) -> Tensors:
    """Return what an attack's ``train`` learns for its stamp in a world, computed once; nothing for most."""
    if not attack.learns:
        return {}
    train = where.data.train
    poisoned = attack.poison(equipped(train, attack), where.poisoning(attack))
    trained = attack.train(poisoned, where.training(attack))
    return _loaded(checks.trained(attack, trained, prepared(attack, where)).learned, where)


@functools.lru_cache(maxsize=64)
def fitted(defense: Defense, where: World) -> Tensors:
    """Return the result of ``defense.fit`` for the victim of a world, computed once."""
    made = checks.tensors(defense.name, defense.fit(where.fitting(defense)), "fit") if defense.fits() else {}
    return _loaded(made, where)


def worlds_for(component: Attack | Defense) -> list[World]:
    """Return the worlds whose images the component accepts, smallest first."""
    sizes = [(channels, side) for channels, side in SHAPES]
    return [world(*size) for size in sizes if component.check((size[0], size[1], size[1]), CLASSES) is None]
