"""A loose plugin file for tests: a defense of each kind that returns a verdict, sound or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

import benchkit

SHARE = benchkit.Metric("own_share", unit="%", better="higher", about="a share of its own")
SIZE = benchkit.Metric("own_size", title="own size", unit="px", better="lower", about="a size of its own")
HOW = (
    "right", "plain", "undeclared", "missing", "nan", "percent", "many", "shape", "range", "name", "class", "flag",
    "none",
)  # fmt: skip


@dataclass(frozen=True)
class Telling(benchkit.Defense):
    """Tells of the target class 0, and shows a white image."""

    metrics = (SHARE, SIZE)
    how: str = benchkit.param("right", "how the verdict behaves", choices=HOW)

    def tell(self, score: Any, scene: benchkit.Scene) -> Any:
        """Return a verdict, or what else this one returns."""
        white = torch.ones(scene.shape)
        sound = benchkit.Verdict(score, {"own_share": 0.25, "own_size": 7}, {"white": white}, [0, 2])
        odd: dict[str, Any] = {
            "right": sound,
            "plain": score,
            "undeclared": replace(sound, metrics={**sound.metrics, "odd": 1.0}),
            "missing": replace(sound, metrics={"own_share": 0.25}),
            "nan": replace(sound, metrics={"own_share": 0.25, "own_size": float("nan")}),
            "percent": replace(sound, metrics={"own_share": 25.0, "own_size": 7}),
            "many": replace(sound, images={f"image {number}": white for number in range(10_000)}),
            "shape": replace(sound, images={"white": white[:, 1:]}),
            "range": replace(sound, images={"white": 255 * white}),
            "name": replace(sound, images={"../white": white}),
            "class": replace(sound, classes=[4]),
            "flag": replace(sound, classes=[True]),
            "none": replace(sound, classes=(), images={}),
        }
        return odd[self.how]


@dataclass(frozen=True)
class TellingDetector(Telling, benchkit.InputDetector):
    """Scores the corner's brightness."""

    name = "telling-detector"

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> Any:
        return self.tell(images[..., -3:, -3:].float().mean((1, 2, 3)), scene)


@dataclass(frozen=True)
class TellingPurifier(Telling, benchkit.InputPurifier):
    """Paints the corner grey."""

    name = "telling-purifier"

    def purify(self, images: torch.Tensor, scene: benchkit.Scene) -> Any:
        cleaned = images.clone()
        cleaned[..., -3:, -3:] = 60
        return self.tell(cleaned, scene)


@dataclass(frozen=True)
class TellingFilter(Telling, benchkit.TrainingFilter):
    """Drops images with a white corner."""

    name = "telling-filter"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Any:
        return self.tell(train.images[..., -3:, -3:].float().mean((1, 2, 3)) - 200, scene)


@dataclass(frozen=True)
class TellingTraining(Telling, benchkit.RobustTraining):
    """Trains as the victim is trained."""

    name = "telling-training"

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> Any:
        said = self.tell(scene.fit(train), scene)
        return replace(said, certificate=certificate) if isinstance(said, benchkit.Verdict) else said


def certificate(images: torch.Tensor) -> torch.Tensor:
    """Return 29 and 30 by turns for each four images, one of each class: the toy attack changes 30."""
    return 29 + torch.arange(len(images)) // 4 % 2


@dataclass(frozen=True)
class TellingRepair(Telling, benchkit.ModelRepair):
    """Leaves the victim as it is."""

    name = "telling-repair"

    def repair(self, scene: benchkit.Scene) -> Any:
        return self.tell(scene.model, scene)


@dataclass(frozen=True)
class TellingAudit(Telling, benchkit.ModelDetector):
    """Scores the mean weight of the head."""

    name = "telling-audit"

    def score(self, scene: benchkit.Scene) -> Any:
        return self.tell(float(scene.model.head.weight.detach().abs().mean()), scene)

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 0.0


KINDS = (TellingDetector, TellingPurifier, TellingFilter, TellingTraining, TellingRepair, TellingAudit)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return list(KINDS)
