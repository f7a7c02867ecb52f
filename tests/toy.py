"""A loose plugin file for tests: a dataset that trains in a second, and components that misbehave on request."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import benchkit


def render(count: int, seed: int) -> benchkit.Split:
    """Return 12 x 12 RGB images of four classes: noise that is redder, greener, bluer or brighter."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (count, 3, 12, 12), generator=rng)
    labels = torch.arange(count) % 4
    for label, channels in enumerate(([0], [1], [2], [0, 1, 2])):
        for channel in channels:
            images[labels == label, channel] += 60
    return benchkit.Split(images.clamp(0, 255).byte(), labels)


@dataclass(frozen=True)
class Toy(benchkit.Dataset):
    """Tints."""

    name = "toy"
    count: int = benchkit.param(320, "training images", ge=8)

    def load(self, source: benchkit.Source) -> benchkit.Data:
        return benchkit.Data(render(self.count, 1), render(120, 2), ("a", "b", "c", "d"))


@dataclass(frozen=True)
class Corner(benchkit.Attack):
    """A white 3 x 3 corner; mode chooses how its stamp misbehaves."""

    name = "corner"
    mode: str = benchkit.param("right", "how the stamp behaves", choices=("right", "noop", "float", "nan", "raise"))

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        if self.mode == "raise":
            raise ValueError("no stamp today")
        stamped = images.clone()
        if self.mode != "noop":
            stamped[..., -3:, -3:] = 255
        return stamped.float() if self.mode == "float" else stamped


@dataclass(frozen=True)
class Brightest(benchkit.InputDetector):
    """Scores the corner's brightness; mode chooses how it misbehaves."""

    name = "brightest"
    mode: str = benchkit.param(
        "right",
        "how the score behaves",
        choices=("right", "shape", "nan", "raise", "exit", "kill-once", "random", "model"),
    )
    flag: str = benchkit.param("", "a file that remembers the first call")

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        scores = images[..., -3:, -3:].float().mean((1, 2, 3))
        if self.mode == "shape":
            return scores[:-1]
        if self.mode == "nan":
            return scores * float("nan")
        if self.mode == "raise":
            raise RuntimeError("the detector fell over")
        if self.mode == "exit":
            os._exit(3)
        if self.mode == "kill-once" and not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), 9)
        if self.mode == "random":
            return torch.rand(len(images))
        if self.mode == "model":
            scene.model.logits(images)
        return scores


@dataclass(frozen=True)
class DropAll(benchkit.TrainingFilter):
    """Drops everything."""

    name = "drop-all"
    after: float = benchkit.param(0, "seconds that it sleeps first", ge=0)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> torch.Tensor:
        time.sleep(self.after)
        return torch.ones(len(train))


@dataclass(frozen=True)
class Mean(benchkit.CleanImages, benchkit.ModelDetector):
    """Scores the mean weight of the head."""

    name = "head-mean"

    def score(self, scene: benchkit.Scene) -> float:
        return float(scene.model.head.weight.detach().abs().mean())

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 0.0


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    return [Toy]


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Corner]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Brightest, DropAll, Mean]


@benchkit.hookimpl
def benchkit_cell_finished(record: dict[str, Any]) -> None:
    log = os.environ.get("TOY_OBSERVER")
    if log == "raise":
        raise RuntimeError("observer")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{record['attack']} {record['defense']} {record['status']}\n")
