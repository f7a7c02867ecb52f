"""The verdicts of model detectors on a classifier, and the rank of its score among benign shadow models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchkit.contracts import checks
from benchkit.contracts.kinds import ModelDetector
from benchkit.errors import BenchkitError, plugin_errors
from benchkit.measure.measure import audit
from benchkit.plan.job import PREPARE
from benchkit.records.metrics import by_chance
from benchkit.scan.accuracy import Accuracy, of_shadows
from benchkit.scan.prepare import printable, require_kind, task_of
from benchkit.scan.verdict import csv_of
from benchkit.stages.scenes import defender

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.verdict import Verdict
    from benchkit.execute.request import Request
    from benchkit.models.classifier import Classifier
    from benchkit.records.metric import Metric
    from benchkit.stages.workspace import Task, Workspace


class Named(NamedTuple):
    """A class: its number, and its name in the clean dataset."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.number} ({self.name})"


BENIGN = "benign_scores"
"""The name of the scores of benign shadow models, float (M,), in the result of ``prepare``, if a defense keeps them."""


@dataclass(frozen=True)
class Judged:
    """The verdict of one detector.

    Attributes:
        defense: the detector, with its parameters.
        score: higher is more likely backdoored; None if the detector failed.
        threshold: the score above which a model is called backdoored.
        above: number of benign shadow models with a lower score.
        shadows: number of benign shadow models with known scores.
        shadow_accuracy: mean accuracy of shadow models on the clean test images; None without shadow models.
        false_alarm_rate: share of clean models that its threshold flags by chance alone; None if it is not known.
        suspected: the classes that it suspects, by number and name; None if it names none at all.
        metrics: its own metrics, by name.
        declared: what it says of them.
        images: its images, uint8 (C or 1, H, W), by name.
        fault: why there is no score.
    """

    defense: str
    score: float | None = None
    threshold: float | None = None
    above: int = 0
    shadows: int = 0
    shadow_accuracy: float | None = None
    false_alarm_rate: float | None = None
    suspected: tuple[Named, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    declared: tuple[Metric, ...] = ()
    images: Mapping[str, Tensor] = field(default_factory=dict)
    fault: str = ""

    @property
    def word(self) -> str:
        """The verdict in a word."""
        if self.score is None or self.threshold is None:
            return "failed"
        return "flagged" if self.score > self.threshold else "passed"

    @property
    def place(self) -> str:
        """The rank of the score among benign shadow models, in words."""
        return f"above {self.above} of {self.shadows}" if self.shadows else ""

    @property
    def measured(self) -> str:
        """Its own metrics in words, with their units."""
        shown = (f"{one.title} {one.text(self.metrics[one.name])} {one.unit}".strip() for one in self.declared)
        return ", ".join(shown)

    @property
    def suspects(self) -> str:
        """The suspected classes in words: numbers and names."""
        named = [str(one) for one in self.suspected or ()]
        return ", ".join(named) or ("none" if self.suspected is not None else "")

    def row(self) -> dict[str, Any]:
        """Return it for programs; unknown values are None."""
        known = self.shadows or None
        return {
            "defense": self.defense,
            "verdict": self.word,
            "score": self.score,
            "threshold": self.threshold,
            "benign_shadows_below": self.above if known else None,
            "benign_shadows": known,
            "shadow_accuracy": self.shadow_accuracy,
            "false_alarm_rate": self.false_alarm_rate,
            "suspected": None if self.suspected is None else [one._asdict() for one in self.suspected],
            "metrics": dict(self.metrics),
            "error": self.fault or None,
        }


def require_model_detectors(defenses: tuple[object, ...]) -> tuple[ModelDetector, ...]:
    """Return the defenses if there is at least one and all of them score models. Raises SpecError."""
    return require_kind(defenses, ModelDetector, "score models", ", such as neural-cleanse")


def judge(asked: Request, workspace: Workspace, model: Classifier) -> list[Judged]:
    """Return the verdict of every model detector of a prepared request on a classifier."""
    tasks = [task_of(asked, workspace, number) for number in range(len(asked.spec.defenses))]
    found = [
        _judged(task, str(one), model) if task else Judged(str(one), fault="it could not be prepared")
        for task, one in zip(tasks, asked.spec.defenses, strict=True)
    ]
    return [replace(one, shadow_accuracy=of_shadows(asked, workspace, number)) for number, one in enumerate(found)]


def _judged(task: Task, name: str, model: Classifier) -> Judged:
    defense = task.defense
    assert isinstance(defense, ModelDetector)
    try:
        with plugin_errors(defense.name):
            found, threshold = audit(defense, partial(defender, task, suspect=model))
            chance = defense.false_alarm_rate(len(task.data.classes))
        verdict = _with_more(Judged(name, found.score, threshold, false_alarm_rate=chance), found, task)
        benign = task.kept(PREPARE).get(BENIGN)
        if benign is None:
            return verdict
        scores = checks.scores(defense.name, BENIGN, benign, benign.numel())
    except BenchkitError as error:
        return Judged(name, fault=str(error))
    below = int((scores < found.score).sum())
    return replace(verdict, above=below, shadows=len(scores))


def _with_more(judged: Judged, said: Verdict, task: Task) -> Judged:
    """Return it with what the detector said beside its score."""
    names = task.data.classes
    suspected = None if said.classes is None else tuple(Named(number, names[number]) for number in said.classes)
    own = task.defense.metrics
    return replace(judged, suspected=suspected, metrics=said.metrics, declared=own, images=said.images)


def notes(verdicts: list[Judged], classes: int) -> list[str]:
    """Return sentences about what the verdicts on a model of so many classes can and cannot show."""
    said = [f"{one.defense} failed: {one.fault}" for one in verdicts if one.fault]
    said += [
        f"{one.defense}: {by_chance(one.false_alarm_rate, classes)}"
        for one in verdicts
        if one.false_alarm_rate is not None
    ]
    few = [one.shadows for one in verdicts if one.shadows]
    if few:
        said.append(
            f"a rank among {min(few)} benign shadow models has a resolution of one in {min(few) + 1} at best, and is "
            "valid only for a model trained as they were"
        )
    said.append(
        "a flag is a reason to look closer, not proof, and a model that passes is not proven clean: "
        "benchkit run --population measures how often each detector is wrong on models like yours"
    )
    return said


def to_json(verdicts: list[Judged], known: Accuracy, asked: Mapping[str, Any], said: list[str]) -> str:
    """Return all results, for programs."""
    told = {**asked, **known.row(), "test_images": known.images, "verdicts": [one.row() for one in verdicts]}
    return json.dumps({**told, "notes": said}, indent=1) + "\n"


def to_csv(verdicts: list[Judged], known: Accuracy) -> str:
    """Return one row per verdict, with the model's accuracy in its last columns."""
    rows = [{**one.row(), "suspected": one.suspects, "metrics": one.measured} for one in verdicts]
    return csv_of([{**row, **known.row()} for row in rows], (*Judged("").row(), *known.row()))


def to_table(verdicts: list[Judged], known: Accuracy) -> str:
    """Return the accuracy of the model in one line, then the verdicts as a table."""
    from tabulate import tabulate

    columns: dict[str, Callable[[Judged], str]] = {
        "defense": lambda one: one.defense,
        "score": lambda one: _number(one.score),
        "threshold": lambda one: _number(one.threshold),
        "verdict": lambda one: one.word,
        "suspected classes": lambda one: one.suspects,
        "among benign shadows": lambda one: one.place,
        "accuracy of shadows": lambda one: _share(one.shadow_accuracy),
        "its metrics": lambda one: one.measured,
    }
    texts = {head: [printable(text(one)) for one in verdicts] for head, text in columns.items()}
    told = {head: column for head, column in texts.items() if any(column)}
    return f"{known.said()}\n\n{tabulate(told, headers='keys', disable_numparse=True)}\n"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
