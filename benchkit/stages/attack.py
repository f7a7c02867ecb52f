"""The attacker's steps: craft the trigger, poison the training set, train the victim."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Poisoned, Tensors
from benchkit.contracts.trained import Trained, require_network
from benchkit.plan.job import CRAFT, POISON
from benchkit.stages.scenes import attacker
from benchkit.stages.workspace import Result, Task


def make_craft(task: Task) -> Result:
    """Craft a trigger; the numbers that its attack reports are kept beside it."""
    attack = task.attack
    prepared = checks.tensors(attack.name, attack.prepare(attacker(task, "prepare")))
    reported, drawn = checks.reported(attack, prepared), draw(task, attack, "draw")
    checks.apart(attack.name, "draw", drawn, prepared)
    return {**prepared, **drawn}, reported


def make_poison(task: Task) -> Result:
    """Poison the training set; what changed is kept."""
    poisoned = poison(task, "poison")
    rows = poisoned.changed.nonzero().squeeze(1)
    changed = poisoned.data[rows]
    kept = {"rows": rows, "images": changed.images, "labels": changed.labels, "cover": poisoned.cover[rows]}
    return kept, _shares(poisoned)


def _shares(made: Poisoned) -> dict[str, float]:
    """Return the share of the training set that is poisoned, and that of covers if there are any."""
    counts = {"poisoned": int(made.mask.sum()), "covered": int(made.cover.sum())}
    return {name: count / len(made.data) for name, count in counts.items() if count or name == "poisoned"}


def make_train(task: Task) -> Result:
    """Train a victim, or the clean model of attackers; how much of its set was changed stays with it."""
    attack = task.attack
    scene = attacker(task, "train", task.job.purpose)
    return victim(task, attack.train(task.poisoned, scene)).state(), task.info(POISON)


def victim(task: Task, returned: Any) -> Trained:
    """Check what an attack's ``train`` returned. Raises ContractError."""
    attack = task.attack
    made = checks.trained(attack, returned, task.kept(CRAFT))
    if attack.controls_training():
        require_network(attack.name, made.model, task.network().state_dict(), task.job.model)
    return made


def poison(task: Task, purpose: str, drawn: Tensors | None = None) -> Poisoned:
    """Let the attack of a step poison the training set; ``drawn`` stands in for what its craft step drew.

    Raises:
        ContractError: when the result breaks its contract, an attack that is not benign poisoned nothing, or there
            are no covers at a cover rate above 0.
    """
    attack, train = task.attack, task.victim_train
    made = checks.poisoned(attack, train, attack.poison(train, attacker(task, "poison", purpose, drawn=drawn)))
    if not attack.benign:
        checks.poisons(attack, made, task.job.poison_rate or 0.0)
    checks.covers(attack.name, made, attack.cover_rate)
    return made


def draw(task: Task, attack: Attack, purpose: str) -> dict[str, Tensor]:
    """Return what an attack draws for one victim."""
    found = checks.tensors(attack.name, attack.draw(attacker(task, "draw", purpose)), "draw")
    return {name: tensor.to(task.device) for name, tensor in found.items()}
