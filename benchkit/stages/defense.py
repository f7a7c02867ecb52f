"""A defense's steps that cells share: preparation, what it learns of a victim, and the scores of detectors."""

from __future__ import annotations

from functools import partial

from benchkit.contracts import checks
from benchkit.contracts.defense import InputDetector, ModelDetector
from benchkit.measure.input_detector import clean_scores
from benchkit.measure.measure import audit, fitted
from benchkit.plan.job import SHADOWS
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
    """Let an input detector set its threshold, and score the clean test images."""
    defense = task.defense
    assert isinstance(defense, InputDetector)
    scores, threshold = clean_scores(defense, partial(defender, task), task.data.test.images)
    return {"clean": scores}, {"threshold": threshold}


def make_audit(task: Task) -> Result:
    """Let a model detector learn from, and score, one victim, or some of a population."""
    defense = task.defense
    assert isinstance(defense, ModelDetector)
    verdicts = [audit(defense, partial(defender, task, suspect=suspect)) for suspect in task.suspects()]
    return {}, {name: [verdict[name] for verdict in verdicts] for name in ("score", "threshold")}
