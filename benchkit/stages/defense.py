"""A defense's steps that cells share: preparation, what it learns of a victim, and the scores of detectors."""

from __future__ import annotations

from functools import partial

from benchkit.contracts import checks
from benchkit.contracts.kinds import InputDetector, ModelDetector
from benchkit.measure.input_detector import clean_scores
from benchkit.measure.measure import audit, fitted
from benchkit.measure.truth import SCORED
from benchkit.plan.job import SHADOWS, SUSPECTS
from benchkit.stages.cost import added
from benchkit.stages.scenes import defender
from benchkit.stages.workspace import Result, Task


def make_prepare(task: Task) -> Result:
    """Run a defense's attack-free preparation."""
    defense = task.defense
    tensors = checks.tensors(defense.name, defense.prepare(defender(task, "prepare", fit=False)))
    learned_from = [task.store.meta(*ref)["cost"] for _, ref in task.job.of(SHADOWS)]
    return tensors, {"shadows": added(learned_from)} if learned_from else {}


def make_fit(task: Task) -> Result:
    """Let a defense learn from one victim."""
    return fitted(task.defense, defender(task, "fit")), {}


def make_score(task: Task) -> Result:
    """Let an input detector set its threshold, and score the clean test images; keep the images of its verdict."""
    defense = task.defense
    assert isinstance(defense, InputDetector)
    said, threshold = clean_scores(defense, partial(defender, task), task.data.test.images)
    info = {"threshold": threshold, "metrics": said.metrics, "classes": said.classes}
    return {**said.images, SCORED: said.score}, info


def make_audit(task: Task) -> Result:
    """Let a model detector learn from, and score, one victim, or some of a population; keep the images of the first."""
    defense = task.defense
    assert isinstance(defense, ModelDetector)
    found = [audit(defense, partial(defender, task, suspect=suspect)) for suspect in task.suspects()]
    return found[0][0].images, {
        "score": [said.score for said, _ in found],
        "threshold": [threshold for _, threshold in found],
        "metrics": [said.metrics for said, _ in found],
        "classes": [said.classes for said, _ in found],
        "drawn": task.ref(SUSPECTS).stage != "train",
    }
