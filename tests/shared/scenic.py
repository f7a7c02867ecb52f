"""A loose plugin file for tests: attacks and defenses that write down what each of their methods has in its scene."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

import benchkit


def few(scene: benchkit.Scene) -> benchkit.Split:
    """Return a training set of four black images."""
    return benchkit.Split(torch.zeros(4, *scene.shape, dtype=torch.uint8), torch.arange(4) % scene.classes)


USES: dict[str, Callable[[benchkit.Scene], Any]] = {
    "classes": lambda scene: scene.classes + 1,
    "shape": lambda scene: sum(scene.shape),
    "device": lambda scene: torch.zeros(1, device=scene.device),
    "rng": lambda scene: torch.rand(1, generator=scene.rng),
    "clean": lambda scene: len(scene.clean),
    "poison_rate": lambda scene: scene.poison_rate + 1,
    "strength": lambda scene: scene.strength + 1,
    "prepared": lambda scene: dict(scene.prepared),
    "model": lambda scene: scene.model.logits(few(scene).images),
    "logits": lambda scene: scene.logits(few(scene).images),
    "labels": lambda scene: scene.labels(few(scene).images),
    "train": lambda scene: len(scene.train),
    "fit": lambda scene: scene.fit(few(scene), epochs=1),
    "epochs_for": lambda scene: scene.epochs_for(4),
    "network": lambda scene: scene.network(few(scene)).logits(few(scene).images),
    "others": lambda scene: dict(scene.others),
    "shadows": lambda scene: list(scene.shadows),
    "fitted": lambda scene: dict(scene.fitted),
}


def note(who: str, method: str, scene: benchkit.Scene) -> None:
    """Write down which uses of a scene raise no ContractError."""
    found = []
    for name, use in USES.items():
        try:
            use(scene)
        except benchkit.ContractError:
            continue
        found.append(name)
    with Path(os.environ["SCENIC_LOG"]).open("a") as file:
        file.write(json.dumps([who, method, found]) + "\n")


@dataclass(frozen=True)
class Noter(benchkit.Attack):
    """A white corner."""

    name = "noter"
    access: ClassVar[Literal["data", "training", "none"]] = "training"
    learns: ClassVar[bool] = True

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "prepare", scene)
        return {"prepared": self._seen(scene)}

    def _seen(self, scene: benchkit.Scene) -> Tensor:
        """Return weights of the model, if there is one."""
        return scene.model.head.weight.detach().clone() if "model" in self.needs else torch.zeros(1)

    def draw(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "draw", scene)
        return {"drawn": torch.zeros(1)}

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        note(self.name, "poison", scene)
        assert torch.equal(scene.prepared["prepared"], self._seen(scene))
        rows = torch.arange(1, 17, 4)
        return benchkit.Poisoned.replacing(train, rows, 255 - train.images[rows], 0 * train.labels[rows])

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Trained:
        note(self.name, "train", scene)
        assert torch.equal(scene.prepared["prepared"], self._seen(scene))
        return benchkit.Trained(scene.fit(poisoned.data, epochs=1), {"learned": torch.zeros(1)})

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        note(self.name, "stamp", scene)
        assert {"prepared", "drawn", "learned"} == scene.prepared.keys()
        return 255 - images

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        note(self.name, "control", scene)
        return images.clone()

    def target_labels(self, labels: Tensor, scene: benchkit.Scene) -> Tensor:
        note(self.name, "target_labels", scene)
        return 0 * labels


@dataclass(frozen=True)
class ModelNoter(Noter):
    """The same, with a model."""

    name = "model-noter"
    needs = frozenset({"model"})


@dataclass(frozen=True)
class Sets(benchkit.Shadows):
    """Copies of the defender's own images."""

    name = "sets"

    def split(self, number: int, scene: benchkit.Scene) -> benchkit.Split:
        note("head", "split", scene)
        return scene.clean


@dataclass(frozen=True)
class Eye(benchkit.InputDetector):
    """An input detector."""

    name = "eye"

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "prepare", scene)
        return {}

    def fit(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "fit", scene)
        return {}

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        note(self.name, "score", scene)
        return images.float().mean((1, 2, 3))

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        note(self.name, "calibration", scene)
        return torch.arange(20.0)

    def cutoff(self, scene: benchkit.Scene) -> float:
        note(self.name, "cutoff", scene)
        return super().cutoff(scene)


@dataclass(frozen=True)
class ModelEye(Eye):
    """An input detector with the victim."""

    name = "model-eye"
    needs = frozenset({"model"})


def eye(name: str, *needs: str) -> type[Eye]:
    """Return an input detector with these needs."""
    body = {"__doc__": "An eye.", "__module__": __name__, "name": name, "needs": frozenset(needs)}
    return dataclass(frozen=True)(type("OtherEye", (Eye,), body))


OTHER_EYES = [eye("score-eye", "logits"), eye("label-eye", "labels", "train")]


@dataclass(frozen=True)
class Wiper(benchkit.InputPurifier):
    """A purifier."""

    name = "wiper"

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        note(self.name, "purify", scene)
        return images.clone()


@dataclass(frozen=True)
class Sieve(benchkit.CleanImages, benchkit.TrainingFilter):
    """A filter that holds clean images."""

    name = "sieve"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        note(self.name, "suspicion", scene)
        return torch.zeros(len(train))


@dataclass(frozen=True)
class School(benchkit.RobustTraining):
    """Robust training."""

    name = "school"

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> Any:
        note(self.name, "train", scene)
        return scene.fit(train, epochs=1)


@dataclass(frozen=True)
class Mender(benchkit.CleanImages, benchkit.ModelRepair):
    """A repair."""

    name = "mender"

    def fit(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "fit", scene)
        return {}

    def repair(self, scene: benchkit.Scene) -> Any:
        note(self.name, "repair", scene)
        return scene.model


@dataclass(frozen=True)
class Head(benchkit.CleanImages, benchkit.ModelDetector):
    """A model detector with shadow models."""

    name = "head"

    def shadows(self) -> benchkit.Shadows:
        return Sets(count=2, recipe="fast:epochs=1")

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "prepare", scene)
        return {}

    def fit(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        note(self.name, "fit", scene)
        return {}

    def score(self, scene: benchkit.Scene) -> float:
        note(self.name, "score", scene)
        return 0.0

    def flags_above(self, scene: benchkit.Scene) -> float:
        note(self.name, "flags_above", scene)
        return 1.0


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Noter, ModelNoter]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Eye, ModelEye, *OTHER_EYES, Wiper, Sieve, School, Mender, Head]
