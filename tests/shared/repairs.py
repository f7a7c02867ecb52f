"""A loose plugin file for tests: repairs that do nothing, train, and train in a loop of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

import benchkit


@dataclass(frozen=True)
class Keep(benchkit.CleanImages, benchkit.ModelRepair):
    """Return the victim, frozen."""

    name = "keep"

    def repair(self, scene: benchkit.Scene) -> Any:
        return scene.model.requires_grad_(requires_grad=False)


@dataclass(frozen=True)
class Tune(benchkit.CleanImages, benchkit.ModelRepair):
    """Fine-tune the victim, in one go or in two."""

    name = "tune"
    epochs: float = benchkit.param(2.0, "passes", gt=0)
    goes: int = benchkit.param(1, "trainings, one after the other", ge=1)

    def repair(self, scene: benchkit.Scene) -> Any:
        model = scene.model
        for _ in range(self.goes):
            model = scene.fit(scene.clean, start=model, epochs=self.epochs / self.goes)
        return model


@dataclass(frozen=True)
class Loop(benchkit.CleanImages, benchkit.ModelRepair):
    """Count passes that it could have trained itself."""

    name = "loop"

    def own_epochs(self) -> float:
        return 3.0

    def repair(self, scene: benchkit.Scene) -> Any:
        return scene.model


@dataclass(frozen=True)
class Learner(benchkit.Attack):
    """A stamp that the training chooses: a white corner, where poisons begin with a black one."""

    name = "learner"
    access = "training"
    learns = True

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        return {"before": torch.zeros(1)}

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.clone()
        stamped[..., -3:, -3:] = int(scene.prepared.get("after", scene.prepared["before"]))
        return stamped

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Trained:
        images = poisoned.data.images.clone()
        images[poisoned.mask, :, -3:, -3:] = 255
        model = scene.fit(benchkit.Split(images, poisoned.data.labels))
        return benchkit.Trained(model, {"after": torch.full((1,), 255.0)})


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Learner]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Keep, Tune, Loop]
