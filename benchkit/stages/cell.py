"""What a cell comes to: the truth about it is gathered, and the defense is measured."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchkit.measure.measure import measure
from benchkit.measure.population import Verdicts
from benchkit.measure.truth import GroundTruth
from benchkit.plan.job import AUDIT, BENIGN_AUDIT, CRAFT, JUDGE, POISON, VICTIM
from benchkit.records.metrics import CRAFTED
from benchkit.stages.retune import retuning
from benchkit.stages.scenes import defender, tested, triggered
from benchkit.stages.workspace import Task


def make_cell(task: Task) -> dict[str, Any]:
    """Measure one cell; return its metrics, its warnings and what it has to show, as its record holds them.

    ``aside`` are the seconds that are no cost of the defense.
    """
    found, warnings = measure(task.defense, partial(defender, task), truth(task))
    metrics = {**found.metrics, **_inherited(task)}
    return {"metrics": metrics, "warnings": warnings, "aside": found.aside, **found.exhibits}


def truth(task: Task) -> GroundTruth:
    """Gather what only the measurement may know."""
    stamped, attack = triggered(task), task.attack
    return GroundTruth(
        benign=attack.benign,
        test=tested(task),
        rows=stamped.rows,
        triggered=stamped.images,
        wanted=stamped.wanted,
        control=stamped.control,
        others=stamped.others,
        train=task.poisoned if task.has(POISON) else None,
        plain=attack.access != "training",
        shortfall=attack.crafter().shortfall(task.info(CRAFT)),
        judged=task.load(JUDGE),
        retuning=retuning(task),
        audited=_verdicts(task, AUDIT),
        benign_audited=_verdicts(task, BENIGN_AUDIT),
    )


def _verdicts(task: Task, kind: str) -> Verdicts:
    """Return the scores and thresholds of all audits of one kind."""
    found = [task.info(role) for role, _ in task.job.of(kind)]
    return Verdicts(*([value for info in found for value in info[name]] for name in ("score", "threshold")))


def _inherited(task: Task) -> dict[str, float]:
    """Return what the attack's own steps found out: the shares really changed, and what its crafting reports."""
    infos = [task.info(role) for role in (JUDGE, VICTIM, POISON)]
    shares = {name: info[name] for info in infos for name in ("poisoned", "covered") if name in info}
    return shares | {CRAFTED + name: value for name, value in task.info(CRAFT).items()}
