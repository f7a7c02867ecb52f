"""What a cell comes to: the truth about it is gathered, and the defense is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchkit.contracts.verdict import Verdict
from benchkit.measure.measure import measure
from benchkit.measure.population import Verdicts
from benchkit.measure.truth import SCORED, CleanScores, GroundTruth, Stamped
from benchkit.plan.job import AUDIT, BENIGN_AUDIT, CRAFT, JUDGE, POISON, SCORES, VICTIM
from benchkit.records.declared import crafted, in_record
from benchkit.records.metrics import CRAFTED
from benchkit.stages.attack import draw
from benchkit.stages.retune import retuning
from benchkit.stages.scenes import attacker, defender, tested, triggered
from benchkit.stages.workspace import Task


def make_cell(task: Task) -> dict[str, Any]:
    """Measure one cell; return its metrics, its warnings and what it has to show, as its record holds them.

    ``aside`` are the seconds that are no cost of the defense.
    """
    found, warnings = measure(task.defense, partial(defender, task), truth(task))
    metrics = {**found.metrics, **_inherited(task)}
    declared = _declared(task, metrics)
    return {"metrics": metrics, "warnings": warnings, "aside": found.aside, **found.exhibits, "declared": declared}


def truth(task: Task) -> GroundTruth:
    """Gather what only the measurement may know."""
    stamped, attack, audited = triggered(task), task.attack, _audited(task)
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
        natural=attack.natural,
        shortfall=attack.crafter().shortfall(task.info(CRAFT)),
        judged=task.load(JUDGE),
        scored=_scored(task),
        names=task.data.classes,
        targets=_targets(task, stamped, audited),
        retuning=retuning(task),
        audited=audited,
        benign_audited=_verdicts(task, BENIGN_AUDIT),
    )


def _scored(task: Task) -> CleanScores | None:
    """Return what an input detector's own step says of clean images; None for other kinds."""
    if not task.has(SCORES):
        return None
    kept, info = dict(task.store.load(*task.ref(SCORES))), task.info(SCORES)
    said = Verdict(kept.pop(SCORED), info["metrics"], kept, info["classes"])
    return CleanScores(task.data.test.images, said, info["threshold"])


def _audited(task: Task) -> Verdicts:
    """Return what a model detector said of the victim, or of a population, with the images of the first model."""
    found, roles = _verdicts(task, AUDIT), [role for role, _ in task.job.of(AUDIT)]
    infos = [task.info(role) for role in roles]
    metrics, classes = ([one for info in infos for one in info[name]] for name in ("metrics", "classes"))
    images = [task.load(role) for role in roles[:1]] + [{}] * len(found.scores)
    said = [Verdict(*each) for each in zip(found.scores, metrics, images, classes, strict=False)]
    return replace(found, said=said)


def _targets(task: Task, stamped: Stamped, audited: Verdicts) -> tuple[int | None, ...]:
    """Return the target of the victim, or of each model of a population, whose draws are repeated here."""
    attack = task.attack
    if attack.benign:
        return ()
    if not any(task.info(role)["drawn"] for role, _ in task.job.of(AUDIT)):
        return (_only(stamped.wanted),)
    labels = torch.arange(len(task.data.classes), device=task.device)
    draws = (draw(task, attack.crafter(), f"draw {number}") for number in range(len(audited.scores)))
    wanted = (attack.target_labels(labels, attacker(task, "stamp", "target", drawn=one)) for one in draws)
    return tuple(_only(one[one != labels]) for one in wanted)


def _only(wanted: Tensor) -> int | None:
    """Return the one class among wanted labels, or None."""
    found = wanted.unique()
    return int(found) if len(found) == 1 else None


def _declared(task: Task, metrics: Mapping[str, float]) -> dict[str, dict[str, str]]:
    """Return what the plugins say of those metrics that are their own."""
    own = (*task.defense.metrics, *map(crafted, task.attack.crafter().metrics))
    return {one.name: in_record(one) for one in own if one.name in metrics}


def _verdicts(task: Task, kind: str) -> Verdicts:
    """Return the scores and thresholds of all audits of one kind."""
    found = [task.info(role) for role, _ in task.job.of(kind)]
    return Verdicts(*([value for info in found for value in info[name]] for name in ("score", "threshold")))


def _inherited(task: Task) -> dict[str, float]:
    """Return what the attack's own steps found out: the shares really changed, and what its crafting reports."""
    infos = [task.info(role) for role in (JUDGE, VICTIM, POISON)]
    shares = {name: info[name] for info in infos for name in ("poisoned", "covered") if name in info}
    return shares | {CRAFTED + name: value for name, value in task.info(CRAFT).items()}
