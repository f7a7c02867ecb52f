"""Training filters on a labelled training set of unknown origin: the model that they need, and their scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.contracts.dataset import UnlabelledFolder
from benchkit.contracts.defense import Defense
from benchkit.contracts.given import given_to
from benchkit.contracts.kinds import TrainingFilter
from benchkit.contracts.scene import Scene
from benchkit.contracts.steering import Fit
from benchkit.contracts.verdicts import verdict
from benchkit.errors import BenchkitError, DataError, SpecError, plugin_errors
from benchkit.models.create import create
from benchkit.protocol import generator
from benchkit.records.doubts import Known
from benchkit.scan.prepare import require_kind, task_of
from benchkit.stages.scenes import defender
from benchkit.training.trainer import Trainer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchkit.execute.request import Request
    from benchkit.models.classifier import Classifier
    from benchkit.scan.labelled import Labelled
    from benchkit.stages.workspace import Task, Workspace

PACED = 256
"""Number of images on which the speed of training is measured."""


@dataclass(frozen=True)
class Filtered:
    """What one filter says.

    Attributes:
        defense: the filter, with its parameters.
        scores: float64 (N,), above 0 for the rows that it drops; None if it failed.
        fault: why it failed.
    """

    defense: str
    scores: Tensor | None = None
    fault: str = ""


def require_filters(defenses: tuple[object, ...]) -> tuple[TrainingFilter, ...]:
    """Return the defenses if there is at least one and all of them are training filters. Raises SpecError."""
    return require_kind(defenses, TrainingFilter, "filter training sets")


def require_clean(filters: tuple[TrainingFilter, ...], *, given: bool) -> None:
    """Refuse filters that learn from clean images where there are none.

    Raises:
        SpecError: names the first.
    """
    for one in filters:
        if not given and (one.clean or type(one).prepare is not Defense.prepare):
            raise SpecError(f"{one.name} learns from clean images: say which with --clean, or leave it out")


class Filters:
    """Training filters at work on one training set.

    Args:
        asked: a request with the filters, the model and the recipe; its plan is prepared if there are clean images.
        workspace: that of this process.
        suspects: the training set.
        clean: whether the dataset of the request is one of clean images that the user named.
    """

    def __init__(self, asked: Request, workspace: Workspace, suspects: Labelled, *, clean: bool) -> None:
        self.asked, self.workspace, self.clean = asked, workspace, clean
        self.filters = require_filters(asked.spec.defenses)
        self.device, self.seed = workspace.device, asked.spec.seeds[0]
        self.split, self.classes = suspects.split.to(self.device), suspects.classes
        channels, height, width = map(int, self.split.images.shape[1:])
        self.shape = (channels, height, width)
        self.trainer = Trainer(asked.spec.recipe, self._network, self.device)
        self.model: Classifier | None = None

    def _network(self) -> torch.nn.Module:
        hook = self.asked.registry.manager.hook.benchkit_model
        return create(self.asked.spec.models[0], len(self.classes), self.shape, self.device, hook)

    def intention(self) -> str:
        """Return what will be trained, and how long it takes by the speed of a few steps, or "" if nothing is."""
        named = [one.name for one in self.filters if one.asks_victim()]
        if not named:
            return ""
        few = self.split[: min(PACED, len(self.split))]
        begun = time.perf_counter()
        self.trainer.fit(few, Fit(epochs=1), rng=generator(self.seed, "defender", "pace"))
        passes = self.trainer.recipe.epochs_for(len(self.split))
        seconds = (time.perf_counter() - begun) / len(few) * passes * len(self.split)
        return (
            f"{self.asked.spec.models[0]} is trained by {self.asked.spec.recipe.name} on {len(self.split)} images of "
            f"{self.shape[2]}x{self.shape[1]} in {len(self.classes)} classes, each seen {passes:.3g} times, about "
            f"{_duration(seconds)} here, for {', '.join(named)}; what a filter trains itself takes longer"
        )

    def train(self) -> Known | None:
        """Train the model that the filters need, if any does; return what it knows of the labels.

        Raises:
            DataError: if it knows no more than the most frequent class: then its features mean nothing.
        """
        if not any(one.asks_victim() for one in self.filters):
            return None
        self.model = self.trainer.fit(self.split, rng=generator(self.seed, "victim"))
        labels = self.split.labels
        right = int((self.model.logits(self.split.images).argmax(1) == labels).sum())
        known = Known(right, len(labels), int(labels.bincount().max()))
        if not known.knows:
            raise DataError(
                f"no row can be named: after training, the model gets {known.share:.1%} of the labels right, which is "
                "no more than naming the most frequent class (give another --model, --size or a longer --recipe)"
            )
        return known

    def scores(self) -> list[Filtered]:
        """Return what each filter says, in the order of the request."""
        return [self._scored(one, number) for number, one in enumerate(self.filters)]

    def _scored(self, one: TrainingFilter, number: int) -> Filtered:
        task = task_of(self.asked, self.workspace, number) if self.clean else None
        if self.clean and task is None:
            return Filtered(str(one), fault="it could not be prepared")
        try:
            with plugin_errors(one.name):
                self._require_suited(one, task)
                scene = self._scene(one, task)
                said = verdict(one, "suspicion", one.suspicion(self.split, scene), scene)
                return Filtered(str(one), checks.scores(one.name, "suspicion", said.score, len(self.split)))
        except BenchkitError as error:
            return Filtered(str(one), fault=str(error))

    def _require_suited(self, one: TrainingFilter, task: Task | None) -> None:
        if fault := one.check(self.shape, len(self.classes)):
            raise SpecError(fault)
        if task and one.clean and one.labelled and task.data.classes != self.classes:
            bare = isinstance(self.asked.spec.datasets[0], UnlabelledFolder)
            what = "have no labels" if bare else "have other classes than the training set"
            raise SpecError(f"the clean images {what}: give --clean a dataset with the same class names")

    def _scene(self, one: TrainingFilter, task: Task | None) -> Scene:
        """Return what the filter may have: never more than in a benchmark."""
        if task:
            base = defender(task, "suspicion", fit=False)
        else:
            rng = generator(self.seed, "defender", "suspicion")
            base = Scene(len(self.classes), self.shape, self.device, None, rng, prepared={})
        victim = self.model.copy() if self.model and one.asks_victim() else None
        return replace(base, classes=len(self.classes), trainer=self.trainer, **given_to(one, victim, None))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
