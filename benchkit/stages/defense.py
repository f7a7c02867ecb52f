"""A defense's steps that cells share: its preparation, and a model detector's scores."""

from __future__ import annotations

from functools import partial

from benchkit.contracts import checks
from benchkit.contracts.defense import ModelDetector
from benchkit.measure.measure import audit
from benchkit.plan.planner import SHADOWS
from benchkit.stages.cost import added
from benchkit.stages.workspace import Job, Result, Workspace


def make_prepare(workspace: Workspace, job: Job) -> Result:
    """Run a defense's attack-free preparation."""
    defense = workspace.defense(job)
    tensors = checks.tensors(defense.name, defense.prepare(workspace.defender(job, "prepare", fit=False)))
    learned_from = [
        workspace.store.meta(*step)["cost"] for role, step in job["parents"].items() if role.startswith(SHADOWS)
    ]
    return tensors, {"shadows": added(learned_from)} if learned_from else {}


def make_audit(workspace: Workspace, job: Job) -> Result:
    """Let a model detector score one victim, or some of a population."""
    defense = workspace.defense(job)
    assert isinstance(defense, ModelDetector)
    verdicts = [
        audit(defense, partial(workspace.defender, job, suspect=suspect)) for suspect in workspace.suspects(job)
    ]
    return {}, {name: [verdict[name] for verdict in verdicts] for name in ("score", "threshold")}
