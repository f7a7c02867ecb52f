"""What a cell comes to: the truth about it is gathered, and the defense is measured."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchkit.measure.measure import measure
from benchkit.measure.population import Verdicts
from benchkit.measure.truth import Truth
from benchkit.plan.planner import AUDIT, BENIGN_AUDIT
from benchkit.records.metrics import CRAFTED
from benchkit.stages.workspace import Bench, Job


def make_cell(bench: Bench, job: Job) -> dict[str, Any]:
    """Measure one cell; return its metrics, its warnings and what it has to show, as its record holds them."""
    findings, warnings = measure(bench.defense(job), partial(bench.defender, job), truth(bench, job))
    return {"metrics": {**findings.metrics, **_inherited(bench, job)}, "warnings": warnings, **findings.exhibits}


def truth(bench: Bench, job: Job) -> Truth:
    """Gather what only the measurement may know."""
    stamped = bench.triggered(job)
    parents = job["parents"]
    return Truth(
        benign=bench.attack(job).benign,
        test=bench.tested(job),
        rows=stamped.rows,
        triggered=stamped.images,
        wanted=stamped.wanted,
        control=stamped.control,
        train=bench.poisoned(job) if "poison" in parents else None,
        plain=bench.attack(job).access != "training",
        shortfall=bench.attack(job).crafted_by().shortfall(_info(bench, job, "craft")),
        judged=bench.tensors(job, "judge"),
        audited=_verdicts(bench, job, AUDIT),
        benign_audited=_verdicts(bench, job, BENIGN_AUDIT),
    )


def _verdicts(bench: Bench, job: Job, role: str) -> Verdicts:
    """Return the scores and thresholds that audits of one role came to."""
    found = [bench.store.meta(*step)["info"] for name, step in job["parents"].items() if name.startswith(role)]
    return Verdicts(*([value for info in found for value in info[name]] for name in ("score", "threshold")))


def _inherited(bench: Bench, job: Job) -> dict[str, float]:
    """Return what the attack's own steps found out: the share really poisoned, and what its crafting reports."""
    poisoned = [
        info["poisoned"] for role in ("poison", "victim", "judge") if "poisoned" in (info := _info(bench, job, role))
    ]
    reported = {CRAFTED + name: value for name, value in _info(bench, job, "craft").items()}
    return ({"poisoned": poisoned[0]} if poisoned else {}) | reported


def _info(bench: Bench, job: Job, role: str) -> dict[str, float]:
    """Return what was kept beside a parent's tensors, or nothing if the step has no such parent."""
    return dict(bench.store.meta(*job["parents"][role])["info"]) if role in job["parents"] else {}
