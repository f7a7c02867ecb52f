"""A loose plugin file for tests: an attack that learns its trigger while it trains, and ways to get this wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

import benchkit


@dataclass(frozen=True)
class Learner(benchkit.Attack):
    """A corner whose grey level is 200 and the number of the victim's tensors; before the training it is 250."""

    name = "learner"
    access: ClassVar[Literal["data", "training", "none"]] = "training"
    learns: ClassVar[bool] = True
    how: str = benchkit.param("right", "what train returns", choices=("right", "alone", "clash", "list"))

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        return {"first": torch.tensor(250)}

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        stamped = images.clone()
        stamped[..., -3:, -3:] = scene.prepared.get("level", scene.prepared["first"])
        return stamped

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> Any:
        model = scene.fit(poisoned.data)
        level = torch.tensor(200 + len(list(model.parameters())))
        learned: dict[str, Any] = {
            "right": {"level": level},
            "clash": {"first": level},
            "list": {"level": [200]},
        }
        return model if self.how == "alone" else benchkit.Trained(model, learned[self.how])


@dataclass(frozen=True)
class Secretive(Learner):
    """The same, undeclared."""

    name = "secretive"
    learns: ClassVar[bool] = False


@dataclass(frozen=True)
class Twice(Learner):
    """It also draws what it prepared."""

    name = "twice"

    def draw(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        return {"first": torch.tensor(249)}


@dataclass(frozen=True)
class Modelled(benchkit.Attack):
    """It declares a model, and leaves the training to the benchmark."""

    name = "modelled"
    needs = frozenset({"model"})

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        return 255 - images


@dataclass(frozen=True)
class Dimmed(benchkit.AttackWrapper):
    """Ten grey levels less."""

    name = "dimmed"

    base: benchkit.Attack = benchkit.nested(Learner(), "the attack that is dimmed")

    def rework(self, clean: Tensor, stamped: Tensor, scene: benchkit.Scene) -> Tensor:
        return torch.where(stamped != clean, stamped - 10, stamped)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Learner, Secretive, Twice, Modelled, Dimmed]


@benchkit.hookimpl
def benchkit_model(name: str, classes: int, channels: int, height: int, width: int) -> nn.Module | None:
    pixels = channels * height * width
    if name == "two-tensors":
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))
    if name == "four-tensors":
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 16), nn.Linear(16, classes))
    return None
