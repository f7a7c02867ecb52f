"""Who is handed what: the scenes of attackers and defenders, and the test images with the trigger."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.absent import PREPARED
from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Split, Tensors
from benchkit.contracts.given import given_to, held_by
from benchkit.contracts.scene import Scene
from benchkit.measure.truth import Others, Stamped
from benchkit.models.classifier import Classifier
from benchkit.plan.job import CRAFT, DATA, FIT, POISON, PREPARE, SURROGATE, VICTIM
from benchkit.protocol import generator, holdout_rows
from benchkit.stages.workspace import Task

Method = Literal["prepare", "draw", "poison", "train", "stamp"]
"""Methods of an attack; ``stamp`` stands for ``control`` and ``target_labels``, too."""
MODELLED = ("prepare", "poison", "train")
"""Methods that have the model which their attack declares, in steps that have it as a parent."""


def scene(task: Task, held: Split | None, purpose: tuple[str, ...], **more: Any) -> Scene:
    """Return a scene whose random numbers depend only on the seed and the purpose."""
    rng = generator(task.job.seed, *purpose)
    return Scene(len(task.data.classes), task.shape, task.device, held, rng, **more)


def attacker(task: Task, method: Method, purpose: str = "", *, drawn: Tensors | None = None) -> Scene:
    """Return what a method of a step's attack may have.

    Args:
        method: which one.
        purpose: what its random numbers follow from; by default the name of the method.
        drawn: stands in for what the attack's craft step drew.
    """
    crafting, modelled = method in ("prepare", "draw"), task.has(SURROGATE) and method in MODELLED
    return scene(
        task,
        task.victim_train,
        ("attacker", purpose or method),
        prepared=PREPARED if crafting else {**task.kept(CRAFT), **_victim_taught(task, method), **(drawn or {})},
        rate=None if crafting else task.job.poison_rate,
        level=None if crafting else task.attack.test_strength if method == "stamp" else 1.0,
        granted=task.model(SURROGATE) if modelled else None,
        trainer=task.trainer if modelled or method == "train" else None,
    )


def _victim_taught(task: Task, method: Method) -> Tensors:
    """Return what the victim's training learned for the stamp."""
    return task.learned(VICTIM) if task.attack.learns and method == "stamp" else {}


def defender(
    task: Task, purpose: str, *, fit: bool = True, grant: bool = False, suspect: Classifier | None = None
) -> Scene:
    """Return what the defender of a step may have: never the trigger, the target, the mask or the test set.

    Args:
        fit: hand over the benchmark's trainer.
        grant: hand over the victim, also where the defense does not declare that it needs it.
        suspect: the model to hand a copy of instead of the victim.
    """
    defense, train = task.defense, task.data.train
    victim = suspect.copy() if suspect else None
    if suspect is None and (grant or defense.asks_victim()) and task.has(VICTIM):
        victim = task.model(VICTIM)
    held = train[holdout_rows(train.labels, task.job.seed, defense.clean)] if defense.clean else None
    return scene(
        task,
        held_by(defense, held),
        ("defender", purpose),
        trainer=task.trainer if fit else None,
        **given_to(defense, victim, task.poisoned.data if task.has(POISON) else None, grant=grant),
        **_defense_learned(task, purpose),
    )


def _defense_learned(task: Task, purpose: str) -> dict[str, Any]:
    """Return what a defense learns from in ``prepare``, and what it learned in the stages after that."""
    if task.job.stage == "prepare":
        return {"shadows": task.shadows(), "others": task.others()}
    if task.job.stage == "shadows":
        return {}
    fitted = {"fitted": task.kept(FIT)} if task.defense.has_victim and purpose != "fit" else {}
    return {"prepared": task.kept(PREPARE), **fitted}


def tested(task: Task) -> Split:
    """Return the clean test split of this row: a benign attack may have processed it, no natural trigger is in it.

    Raises:
        ContractError: when that processing breaks the contract of ``stamp``.
    """
    attack, test = task.attack, task.data.test
    if not (attack.benign or attack.natural):
        return test

    def own() -> Split:
        return Split(_stamped(task, test.images), test.labels) if attack.benign else test[~attack.carries(test)]

    return task.cache("tested", _stamp_key(task), own)


def triggered(task: Task) -> Stamped:
    """Return the test images that the attacker wants to turn, stamped.

    Raises:
        ContractError: when the stamp breaks its contract, changes nothing, or does not repeat itself.
    """
    return task.cache("triggered", _stamp_key(task), lambda: _triggered(task))


def _stamp_key(task: Task) -> str:
    job, victim = task.job, task.ref(VICTIM).key if task.attack.learns else ""
    return f"{job.attack}/{task.ref(CRAFT).key}/{task.ref(DATA).key}/{job.seed}/{job.poison_rate}/{victim}"


def _triggered(task: Task) -> Stamped:
    attack, test = task.attack, task.data.test
    wanted = attack.target_labels(test.labels, attacker(task, "stamp", "target"))
    if attack.benign:
        none = test.labels[:0]
        return Stamped(none, test.images[:0], none, test.images[:0])
    rows, others = _stampable(attack, test, wanted)
    rows, twins = _twins(task, rows) if attack.natural else (rows, rows)
    checks.some_to_stamp(attack, rows)
    stamped, clean = _stamped(task, test.images[rows]), tested(task).images[twins]
    checks.changes_pixels(attack, test.images[rows], stamped)
    control = checks.images(attack.name, "control", clean, attack.control(clean.clone(), attacker(task, "stamp")))
    apart = Others(_stamped(task, test.images[others]), wanted[others]) if len(others) else None
    return Stamped(twins, stamped, wanted[rows], control, apart)


def _twins(task: Task, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows whose class has images without the natural trigger, and one of these for each, drawn.

    Args:
        task: the step.
        rows: int64 (M,), test images that have the trigger.

    Returns:
        int64 (L,), those of ``rows``, and int64 (L,), indices in :func:`tested`.
    """
    labels, plain, rng = task.data.test.labels[rows], tested(task).labels, attacker(task, "stamp", "twins").rng
    kept = torch.isin(labels, plain)
    rows, labels = rows[kept], labels[kept]
    twins = torch.empty_like(rows)
    for label in labels.unique().tolist():
        able = (plain == label).nonzero().squeeze(1)
        drawn = torch.randint(len(able), (int((labels == label).sum()),), generator=rng)
        twins[labels == label] = able[drawn.to(able.device)]
    return rows, twins


def _stampable(attack: Attack, test: Split, wanted: Tensor) -> list[Tensor]:
    """Return the indices of images that are not of the wanted class: of source classes, and of others."""
    source, able = attack.is_source(test.labels), attack.carries(test) & (test.labels != wanted)
    return [(among & able).nonzero().squeeze(1) for among in (source, ~source)]


def _stamped(task: Task, images: Tensor) -> Tensor:
    attack = task.attack
    stamped, again = (attack.stamp(images.clone(), attacker(task, "stamp")) for _ in range(2))
    checks.repeats(attack.name, "stamp", checks.images(attack.name, "stamp", images, stamped), again)
    return stamped.to(images.device)
