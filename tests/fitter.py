"""A loose plugin file for tests: defenses of several kinds that learn from each victim, and count how often."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier


def note(log: str, words: str) -> None:
    """Add a line to a diary, if there is one."""
    if log:
        with Path(log).open("a") as diary:
            diary.write(f"{words}\n")


@dataclass(frozen=True)
class Counting(benchkit.CleanImages):
    """Keeps the largest logits of its clean images, and a diary of what it did."""

    log: str = benchkit.param("", "its diary", used_by_prepare=False, used_by_fit=False)
    die: bool = benchkit.param(False, "whether its first score ends the process", used_by_fit=False)
    scale: float = benchkit.param(1.0, "what it multiplies with")

    def fit(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        note(self.log, "fit")
        return {"usual": self.scale * scene.model.logits(scene.clean.images).amax(1)}

    def surprise(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        """Return how far the largest logit of each image is above the usual."""
        if self.die and "died" not in Path(self.log).read_text():
            note(self.log, "died")
            os._exit(3)
        return self.scale * scene.model.logits(images).amax(1) - scene.fitted["usual"].mean()


@dataclass(frozen=True)
class Surprised(Counting, benchkit.InputDetector):
    """Flags inputs with large logits."""

    name = "surprised"
    needs = frozenset({"model"})

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return self.surprise(images, scene)


@dataclass(frozen=True)
class Damped(Counting, benchkit.ModelRepair):
    """Scales the head by what is usual."""

    name = "damped"

    def repair(self, scene: benchkit.Scene) -> Classifier:
        model = scene.model
        model.head.weight.data /= scene.fitted["usual"].mean()
        return model


@dataclass(frozen=True)
class Loud(Counting, benchkit.ModelDetector):
    """Scores the largest logit that is usual."""

    name = "loud"

    def score(self, scene: benchkit.Scene) -> float:
        return float(scene.fitted["usual"].max())

    def flags_above(self, scene: benchkit.Scene) -> float:
        return float(scene.fitted["usual"].mean())


@dataclass(frozen=True)
class Glow(benchkit.InputDetector):
    """Flags images brighter than clean ones: it learns without a model, in two steps."""

    name = "glow"
    log: str = benchkit.param("", "its diary", used_by_prepare=False, used_by_fit=False)

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        return {"level": scene.clean.images.float().mean()}

    def fit(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        note(self.log, "fit")
        return {"twice": 2 * scene.prepared["level"]}

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return images.float().mean((1, 2, 3)) - scene.fitted["twice"] + scene.prepared["level"]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Surprised, Damped, Loud, Glow]
