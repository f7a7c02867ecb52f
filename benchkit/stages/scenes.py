"""Who is handed what: the scenes of attackers and defenders, and the test images with the trigger."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.data import Split, Tensors
from benchkit.contracts.scene import PREPARED, Scene
from benchkit.measure.truth import Stamped
from benchkit.models.classifier import Classifier
from benchkit.plan.job import CRAFT, DATA, FIT, PREPARE, VICTIM
from benchkit.protocol import generator, holdout_rows
from benchkit.stages.workspace import Task


def scene(task: Task, held: Split | None, purpose: tuple[str, ...], **more: Any) -> Scene:
    """Return a scene whose random numbers depend only on the seed and the purpose."""
    rng = generator(task.job.seed, *purpose)
    return Scene(len(task.data.classes), task.shape, task.device, held, rng, **more)


def attacker(task: Task, purpose: str, *, fit: bool = False, drawn: Tensors | None = None, **more: Any) -> Scene:
    """Return what the attacker of a step may have; ``drawn`` stands in for what its craft step drew."""
    return scene(
        task,
        task.victim_train,
        ("attacker", purpose),
        prepared=PREPARED if task.job.stage == "craft" else {**task.kept(CRAFT), **(drawn or {})},
        rate=task.job.poison_rate,
        trainer=task.trainer if fit else None,
        **more,
    )


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
    granted = suspect.copy() if suspect else None
    if suspect is None and (grant or "model" in defense.needs) and task.has(VICTIM):
        granted = task.model(VICTIM)
    return scene(
        task,
        train[holdout_rows(train.labels, task.job.seed, defense.clean)] if defense.clean else None,
        ("defender", purpose),
        granted=granted,
        trainer=task.trainer if fit else None,
        **_learned(task, purpose),
    )


def _learned(task: Task, purpose: str) -> dict[str, Any]:
    """Return what a defense learns from in ``prepare``, and what it learned in the stages after that."""
    if task.job.stage == "prepare":
        return {"shadows": task.shadows(), "others": task.others()}
    if task.job.stage == "shadows":
        return {}
    fitted = {"fitted": task.kept(FIT)} if task.defense.has_victim and purpose != "fit" else {}
    return {"prepared": task.kept(PREPARE), **fitted}


def tested(task: Task) -> Split:
    """Return the test split as this row has it: a benign attack may have processed it.

    Raises:
        ContractError: when that processing breaks the contract of ``stamp``.
    """
    test = task.data.test
    if not task.attack.benign:
        return test
    return task.cache("tested", _stamp_key(task), lambda: Split(_stamped(task, test.images), test.labels))


def triggered(task: Task) -> Stamped:
    """Return the test images that the attacker wants to turn, stamped.

    Raises:
        ContractError: when the stamp breaks its contract, changes nothing, or does not repeat itself.
    """
    return task.cache("triggered", _stamp_key(task), lambda: _triggered(task))


def _stamp_key(task: Task) -> str:
    job = task.job
    return f"{job.attack}/{task.ref(CRAFT).key}/{task.ref(DATA).key}/{job.seed}/{job.poison_rate}"


def _triggered(task: Task) -> Stamped:
    attack, test = task.attack, task.data.test
    wanted = attack.target_labels(test.labels, attacker(task, "target"))
    if attack.benign:
        none = test.labels[:0]
        return Stamped(none, test.images[:0], none, test.images[:0])
    rows = (test.labels != wanted).nonzero().squeeze(1)
    clean = test.images[rows]
    stamped = _stamped(task, clean)
    checks.changes_pixels(attack.name, clean, stamped)
    control = checks.images(attack.name, "control", clean, attack.control(clean.clone(), attacker(task, "stamp")))
    return Stamped(rows, stamped, wanted[rows], control)


def _stamped(task: Task, images: Tensor) -> Tensor:
    attack = task.attack
    stamped, again = (attack.stamp(images.clone(), attacker(task, "stamp")) for _ in range(2))
    checks.repeats(attack.name, "stamp", checks.images(attack.name, "stamp", images, stamped), again)
    return stamped.to(images.device)
