"""From a victim to its poisoned training set and its stamped test images, as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchkit.contracts.data import Source
from benchkit.contracts.trained import learned_in, weights_in
from benchkit.errors import StoreError
from benchkit.export.attack_folder import Part, write
from benchkit.export.data_card import card
from benchkit.export.victims import Victim, fresh, wanted_labels
from benchkit.ops.attackfiles import ALL, CONTROL, COVER, ONE, POISON, STAMPED, UNCHANGED, About
from benchkit.plan.job import CRAFT, VICTIM
from benchkit.protocol import victim_rows
from benchkit.spec.registry import Registry
from benchkit.stages.scenes import triggered
from benchkit.stages.workspace import Task, Workspace
from benchkit.store.files import write_synced
from benchkit.store.store import Damaged, Store


def export_images(
    victims: Iterable[Victim], store: Store, registry: Registry, source: Source, target: Path, license_id: str
) -> None:
    """Write the attack of each victim into its own folder below ``target``: all of them, or none.

    Raises:
        StoreError: if an artifact is damaged, ``target`` is not empty or cannot be written, or an attack's targets
            are of a kind that the format has not.
    """
    workspace = Workspace(store, registry, torch.device("cpu"), source)
    with fresh(target) as folder:
        for victim in victims:
            try:
                task = workspace.task(victim.job)
                _write(victim, task, folder / victim.folder, license_id)
            except Damaged as error:
                raise StoreError(f"{victim}: {error}: run the benchkit run that made it, then export") from None


def _write(victim: Victim, task: Task, folder: Path, license_id: str) -> None:
    found = task.load(VICTIM)
    wanted = _wanted(victim, task, learned_in(found))
    about, parts = _about(victim, task, wanted), list(_parts(task, wanted))
    folder.mkdir()
    write(folder, about, parts, weights_in(found))
    write_synced(folder / "README.md", card(victim, about, parts, license_id).encode())


def _wanted(victim: Victim, task: Task, learned: dict[str, Tensor]) -> list[int]:
    """Return the label that the attacker wants for images of each class."""
    classes, prepared = len(task.data.classes), task.kept(CRAFT) | learned
    return wanted_labels(victim.attack, victim.poison_rate, classes, task.shape, prepared)


def _about(victim: Victim, task: Task, wanted: list[int]) -> About:
    attack, data = victim.attack, task.data
    mapping = _mapping(wanted)
    if attack.natural:
        raise StoreError(f"{victim} stamps nothing, so there is nothing to write: leave it out with --attacks")
    if mapping is None:
        raise StoreError(f"{victim} maps classes neither to one target nor each to the next: it cannot be written")
    return About(
        attack=str(attack),
        dataset=str(victim.dataset),
        model=victim.model,
        classes=data.classes,
        shape=task.shape,
        train=len(data.train),
        test=len(data.test),
        target=wanted[0] if mapping == ONE else 0,
        mapping=mapping,
        sources=attack.source_classes(),
        label_policy=attack.label_policy,
        weights="",
    )


def _mapping(wanted: list[int]) -> str | None:
    """Return how classes are mapped to targets, or None for a way that no parameter of an attack has."""
    if len(set(wanted)) == 1:
        return ONE
    return ALL if wanted == [(label + 1) % len(wanted) for label in range(len(wanted))] else None


def _parts(task: Task, wanted: list[int]) -> Iterator[Part]:
    """Yield the whole poisoned training set, the stamped test images, and control images if they are others."""
    clean, poisoned, stamped = task.victim_train, task.poisoned, triggered(task)
    numbers = victim_rows(task.data.train.labels, task.job.seed)
    for role, mask in ((POISON, poisoned.mask), (COVER, poisoned.cover), (UNCHANGED, ~poisoned.changed)):
        before, after = clean[mask], poisoned.data[mask]
        yield Part(role, "train", numbers[mask], before.labels, after.labels, before.images, after.images)
    yield _tested(task, stamped.rows, stamped.wanted, stamped.images)
    if stamped.others:
        yield _tested(task, _others(task, wanted), stamped.others.wanted, stamped.others.images)
    test = task.data.test
    if not stamped.control.equal(test.images[stamped.rows]):
        true = test.labels[stamped.rows]
        yield Part(CONTROL, "control", stamped.rows, true, true, test.images[stamped.rows], stamped.control)


def _tested(task: Task, rows: Tensor, wanted: Tensor, images: Tensor) -> Part:
    clean = task.data.test[rows]
    return Part(STAMPED, "stamped", rows, clean.labels, wanted, clean.images, images)


def _others(task: Task, wanted: list[int]) -> Tensor:
    """Return the test images of other than source classes that the trigger is to move, in their order."""
    test, labels = task.data.test, task.data.test.labels
    moved = task.attack.carries(test) & (torch.tensor(wanted, device=labels.device)[labels] != labels)
    return (~task.attack.is_source(labels) & moved).nonzero().squeeze(1)
