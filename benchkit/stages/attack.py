"""The attacker's steps: craft the trigger, poison the training set, train the victim."""

from __future__ import annotations

from benchkit.contracts import checks
from benchkit.plan.planner import SURROGATE
from benchkit.stages.ensembles import drawn
from benchkit.stages.workspace import Bench, Job, Result


def make_craft(bench: Bench, job: Job) -> Result:
    """Craft a trigger; the numbers that its attack reports are kept beside it."""
    attack = bench.attack(job)
    model = bench.model(job, SURROGATE) if SURROGATE in job["parents"] else None
    prepared = checks.tensors(attack.name, attack.prepare(bench.attacker(job, "prepare", granted=model)))
    reported = checks.reported(attack.name, attack.reports, prepared)
    return {**prepared, **drawn(bench, attack, job, "draw")}, reported


def make_poison(bench: Bench, job: Job) -> Result:
    """Poison the training set; what changed is kept."""
    poisoned = bench.poison(job, "poison")
    rows = poisoned.mask.nonzero().squeeze(1)
    changed, share = poisoned.data[rows], len(rows) / len(poisoned.data)
    return {"rows": rows, "images": changed.images, "labels": changed.labels}, {"poisoned": share}


def make_train(bench: Bench, job: Job) -> Result:
    """Train a victim, or the clean model of attackers; how much of its set was poisoned stays with it."""
    attack = bench.attack(job)
    scene = bench.attacker(job, job["purpose"], fit=True)
    model = checks.model(attack.name, "train", attack.train(bench.poisoned(job), scene))
    return model.state(), dict(bench.store.meta(*job["parents"]["poison"])["info"])
