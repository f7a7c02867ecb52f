"""What a cell comes to: the truth about it is gathered, and the defense is measured."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchkit.measure.measure import measure
from benchkit.measure.population import Verdicts
from benchkit.measure.truth import GroundTruth
from benchkit.plan.planner import AUDIT, BENIGN_AUDIT
from benchkit.records.metrics import CRAFTED
from benchkit.stages.workspace import Job, Workspace


def make_cell(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Measure one cell; return its metrics, its warnings and what it has to show, as its record holds them."""
    findings, warnings = measure(workspace.defense(job), partial(workspace.defender, job), truth(workspace, job))
    return {"metrics": {**findings.metrics, **_inherited(workspace, job)}, "warnings": warnings, **findings.exhibits}


def truth(workspace: Workspace, job: Job) -> GroundTruth:
    """Gather what only the measurement may know."""
    stamped = workspace.triggered(job)
    parents = job["parents"]
    return GroundTruth(
        benign=workspace.attack(job).benign,
        test=workspace.tested(job),
        rows=stamped.rows,
        triggered=stamped.images,
        wanted=stamped.wanted,
        control=stamped.control,
        train=workspace.poisoned(job) if "poison" in parents else None,
        plain=workspace.attack(job).access != "training",
        shortfall=workspace.attack(job).crafter().shortfall(_info(workspace, job, "craft")),
        judged=workspace.tensors(job, "judge"),
        audited=_verdicts(workspace, job, AUDIT),
        benign_audited=_verdicts(workspace, job, BENIGN_AUDIT),
    )


def _verdicts(workspace: Workspace, job: Job, role: str) -> Verdicts:
    """Return the scores and thresholds that audits of one role came to."""
    found = [workspace.store.meta(*step)["info"] for name, step in job["parents"].items() if name.startswith(role)]
    return Verdicts(*([value for info in found for value in info[name]] for name in ("score", "threshold")))


def _inherited(workspace: Workspace, job: Job) -> dict[str, float]:
    """Return what the attack's own steps found out: the share really poisoned, and what its crafting reports."""
    poisoned = [
        info["poisoned"]
        for role in ("poison", "victim", "judge")
        if "poisoned" in (info := _info(workspace, job, role))
    ]
    reported = {CRAFTED + name: value for name, value in _info(workspace, job, "craft").items()}
    return ({"poisoned": poisoned[0]} if poisoned else {}) | reported


def _info(workspace: Workspace, job: Job, role: str) -> dict[str, float]:
    """Return what was kept beside a parent's tensors, or nothing if the step has no such parent."""
    return dict(workspace.store.meta(*job["parents"][role])["info"]) if role in job["parents"] else {}
