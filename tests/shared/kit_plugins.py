"""Plugins that keep every rule of the conformance kit, and ways to break one of its rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import benchkit
from benchkit import testing

Case = tuple[str, Callable[[], type[Any]], str]
"""A check (its kind of plugin and its name), a plugin that fails it, and a part of the sentence that says why."""

COUNTER = itertools.count()


@dataclass(frozen=True)
class Patch(benchkit.Attack):
    """A white corner."""

    name = "patch"
    size: int = benchkit.param(3, "side, in pixels", ge=1, le=8)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        stamped = images.clone()
        stamped[..., : self.size, : self.size] = 255
        return stamped


@dataclass(frozen=True)
class Brightness(benchkit.InputDetector):
    """Bright corners are suspicious."""

    name = "brightness"

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        return images[..., -4:, -4:].float().mean((1, 2, 3))


@dataclass(frozen=True)
class Blackout(benchkit.InputPurifier):
    """Corners are painted black."""

    name = "blackout"

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        cleaned = images.clone()
        cleaned[..., -4:, -4:] = 0
        return cleaned


@dataclass(frozen=True)
class Sieve(benchkit.TrainingFilter):
    """Images with white corners are dropped."""

    name = "sieve"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        return train.images[..., -4:, -4:].float().mean((1, 2, 3)) - 254


@dataclass(frozen=True)
class Plain(benchkit.RobustTraining):
    """Ordinary training."""

    name = "plain"

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> Any:
        return scene.fit(train, epochs=1)


@dataclass(frozen=True)
class Retouch(benchkit.CleanImages, benchkit.ModelRepair):
    """Fine-tuning."""

    name = "retouch"

    def repair(self, scene: benchkit.Scene) -> Any:
        return scene.fit(scene.clean, start=scene.model, epochs=1)


@dataclass(frozen=True)
class Audit(benchkit.CleanImages, benchkit.ModelDetector):
    """The largest bias is suspicious."""

    name = "audit"

    def score(self, scene: benchkit.Scene) -> float:
        return float(scene.model.head.bias.detach().max())

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 1.0


@dataclass(frozen=True)
class Dots(benchkit.Dataset):
    """Noise with two labels."""

    name = "dots"

    def load(self, source: benchkit.Source) -> benchkit.Data:
        return dots()


SOUND: list[type[benchkit.Component]] = [Patch, Brightness, Blackout, Sieve, Plain, Retouch, Audit, Dots]


def dots(labels: int = 2, dtype: torch.dtype = torch.uint8, seed: int = 0) -> benchkit.Data:
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (8, 1, 8, 8), generator=rng).to(dtype)
    split = benchkit.Split(images, torch.arange(8) % labels)
    return benchkit.Data(split, split, ("no", "yes"))


def broken(base: type[Any], **attributes: Any) -> type[Any]:
    """Return ``base`` with something replaced; ``size=param(...)`` declares a parameter."""
    body: dict[str, Any] = {"__doc__": "Broken.", "__module__": __name__} | attributes
    if "size" in attributes:
        body["__annotations__"] = {"size": int}
    return dataclass(frozen=True)(type("Broken", (base,), body))


def in_place(self: Any, images: Tensor, scene: Any) -> Tensor:
    images[..., :2, :2] = 255
    return images.clone()


def always_colour(self: Any, images: Tensor, scene: Any) -> Tensor:
    return torch.cat([255 - images[:, :1]] * 3, 1)


def diverges(self: Any, first: Any, scene: Any) -> Any:
    model = scene.fit(first.data if isinstance(first, benchkit.Poisoned) else first, epochs=0.1)
    model.head.weight.data.fill_(float("nan"))
    return model


def own_check(answer: Any) -> Callable[..., Any]:
    return lambda self, shape, classes: answer if shape[1] == 224 else None


RNG_FREE = {"prepare": lambda self, scene: {"noise": torch.rand(2)}}


def case_id(case: Case) -> str:
    return f"{case[0]}-{case[2]}"


def expect_refusal(case: Case) -> None:
    """Assert that the check refuses the plugin, in a sentence like this one."""
    which, make, sentence = case
    (check,) = [one for one in testing.checks(make()) if one.name == which.split()[1]]
    with pytest.raises(testing.ConformanceError, match=sentence):
        check()
