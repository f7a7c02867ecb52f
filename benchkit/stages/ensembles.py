"""The stages that train many models at once: shadow models, and populations for model detectors to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from benchkit.contracts import data_checks
from benchkit.contracts.data import Poisoned, Split, Tensors
from benchkit.errors import ContractError
from benchkit.models.classifier import Classifier
from benchkit.protocol import generator
from benchkit.stages.attack import draw, poison, victim
from benchkit.stages.scenes import attacker, defender
from benchkit.stages.workspace import Result, Task


class LazySplits(Sequence[Split]):
    """Training sets that are made when their turn comes, so that not all are in memory at once."""

    def __init__(self, numbers: range, make: Callable[[int], Split]) -> None:
        self.numbers, self.make = numbers, make

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return self.make(self.numbers[index])

    def __iter__(self) -> Iterator[Split]:
        return map(self.make, self.numbers)


def make_shadows(task: Task) -> Result:
    """Train some of the shadow models that a defense describes."""
    defense, numbers = task.defense, range(*task.job.numbers)
    wanted = defense.shadows()
    if wanted is None:
        raise ContractError(f"{defense.name} described shadow models to the plan, and none to this step")
    classes = len(task.data.classes)

    def split(number: int) -> Split:
        scene = defender(task, f"shadow {number}", fit=False)
        return data_checks.split(
            f"{defense.name}: split of {wanted.name}", wanted.split(number, scene), scene.shape, classes
        )

    return stacked(_fit(task, LazySplits(numbers, split), "shadow")), {"models": len(numbers)}


def make_population(task: Task) -> Result:
    """Poison and train victims like that of the matrix, each with random numbers of its own."""
    attack, numbers = task.attack, range(*task.job.numbers)

    def own(number: int) -> Tensors:
        return draw(task, attack.crafter(), f"draw {number}")

    def poisoned(number: int) -> Poisoned:
        return poison(task, f"poison {number} {attack}", own(number))

    if attack.controls_training():
        scenes = [attacker(task, "train", f"train {number} {attack}", drawn=own(number)) for number in numbers]
        made = [attack.train(poisoned(number), scene) for number, scene in zip(numbers, scenes, strict=True)]
        # What else they learned is for stamps, and nobody stamps images for a population.
        models = [victim(task, one).model for one in made]
    else:
        models = _fit(task, LazySplits(numbers, lambda number: poisoned(number).data), f"population {attack}")
    return stacked(models), {"models": len(numbers)}


def _fit(task: Task, splits: LazySplits, purpose: str) -> list[Classifier]:
    from benchkit.training.ensemble import fit_many

    rngs = [generator(task.job.seed, purpose, str(number)) for number in splits.numbers]
    return fit_many(task.trainer, splits, rngs)


def stacked(models: Sequence[Classifier]) -> dict[str, Tensor]:
    """Return the states of models of one architecture, each tensor with a new first dimension."""
    states = [model.state() for model in models]
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}
