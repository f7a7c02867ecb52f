"""The attacker's steps: craft the trigger, poison the training set, train the victim."""

from __future__ import annotations

from benchkit.contracts import checks
from benchkit.plan.planner import SURROGATE
from benchkit.stages.ensembles import drawn
from benchkit.stages.workspace import Job, Result, Workspace


def make_craft(workspace: Workspace, job: Job) -> Result:
    """Craft a trigger; the numbers that its attack reports are kept beside it."""
    attack = workspace.attack(job)
    model = workspace.model(job, SURROGATE) if SURROGATE in job["parents"] else None
    prepared = checks.tensors(attack.name, attack.prepare(workspace.attacker(job, "prepare", granted=model)))
    reported = checks.reported(attack.name, attack.reports, prepared)
    return {**prepared, **drawn(workspace, attack, job, "draw")}, reported


def make_poison(workspace: Workspace, job: Job) -> Result:
    """Poison the training set; what changed is kept."""
    poisoned = workspace.poison(job, "poison")
    rows = poisoned.mask.nonzero().squeeze(1)
    changed, share = poisoned.data[rows], len(rows) / len(poisoned.data)
    return {"rows": rows, "images": changed.images, "labels": changed.labels}, {"poisoned": share}


def make_train(workspace: Workspace, job: Job) -> Result:
    """Train a victim, or the clean model of attackers; how much of its set was poisoned stays with it."""
    attack = workspace.attack(job)
    scene = workspace.attacker(job, job["purpose"], fit=True)
    model = checks.model(attack.name, "train", attack.train(workspace.poisoned(job), scene))
    return model.state(), dict(workspace.store.meta(*job["parents"]["poison"])["info"])
