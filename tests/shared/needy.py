"""A loose plugin file for tests: defenses that need parts of what a victim can give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

import benchkit


@dataclass(frozen=True)
class Reader(benchkit.CleanImages, benchkit.ModelRepair):
    """A repair that finds as many white corners in the training set as it is told to."""

    name = "reader"
    needs = frozenset({"model", "train"})
    expected: int = benchkit.param(30, "white corners", ge=0)

    def fit(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        return {"white": (scene.train.images[..., -3:, -3:] == 255).flatten(1).all(1).sum()}

    def repair(self, scene: benchkit.Scene) -> Any:
        found = (scene.train.images[..., -3:, -3:] == 255).flatten(1).all(1)
        counts = [int(found.sum()), int(scene.fitted["white"])]
        if counts != [self.expected] * 2:
            raise benchkit.BenchkitError(f"there are {counts} white corners")
        return scene.model


@dataclass(frozen=True)
class Asker(benchkit.InputDetector):
    """A detector that asks the victim, and may ask too much."""

    name = "asker"
    needs = frozenset({"labels"})
    ask: str = benchkit.param("labels", "what it asks for", choices=("labels", "logits", "model", "train"))

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        if self.ask == "labels":
            return scene.labels(images).float()
        if self.ask == "logits":
            return scene.logits(images)[:, 0]
        return (scene.model.logits(images) if self.ask == "model" else scene.train.images.float()).flatten(1)[:, 0]


@dataclass(frozen=True)
class Scorer(Asker):
    """The same with logits."""

    name = "scorer"
    needs = frozenset({"logits"})


@dataclass(frozen=True)
class Sieve(benchkit.TrainingFilter):
    """A filter that asks for what it is given."""

    name = "sieve"
    needs = frozenset({"train"})

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> torch.Tensor:
        return torch.zeros(len(train))


@dataclass(frozen=True)
class Judge(benchkit.CleanImages, benchkit.ModelDetector):
    """A model detector that asks for training sets."""

    name = "judge"
    needs = frozenset({"model", "train"})

    def score(self, scene: benchkit.Scene) -> float:
        return 0.0

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 1.0


@dataclass(frozen=True)
class Oracle(benchkit.CleanImages, benchkit.ModelDetector):
    """A model detector that asks for labels alone."""

    name = "oracle"
    needs = frozenset({"labels"})

    def score(self, scene: benchkit.Scene) -> float:
        return float(scene.labels(scene.clean.images).bincount(minlength=scene.classes).max())

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 10.0


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Reader, Asker, Scorer, Sieve, Judge, Oracle]
