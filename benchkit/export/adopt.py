"""Match the images of another tool to a dataset, and write them in the format that ``replay`` reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchkit.contracts.data import Data, Split
from benchkit.errors import DataError
from benchkit.export.attack_folder import Part, write
from benchkit.export.foreign import UNKNOWN, Batch, Foreign, shape_of
from benchkit.export.victims import fresh
from benchkit.ops.attackfiles import ALL, CONTROL, COVER, ONE, POISON, ROLES, STAMPED, UNCHANGED, About

FOLDERS = {STAMPED: "stamped", CONTROL: "control"}


@dataclass(frozen=True)
class Aim:
    """Where the trigger leads, as the parameters of an attack."""

    target: int
    mapping: str

    def wanted(self, true: Tensor, classes: int) -> Tensor:
        """Return the labels that the attacker wants for images of these classes, int64 (N,)."""
        return (true + 1) % classes if self.mapping == ALL else torch.full_like(true, self.target)


def adopt(found: Foreign, data: Data, dataset: str, target: int | None, out: Path) -> tuple[About, float]:
    """Check the images of another tool against the dataset that they were made of, and write them to ``out``.

    Args:
        found: the images.
        data: the dataset.
        dataset: its name, as typed.
        target: the target class, if the user named one.
        out: a folder that is not there yet, or is empty.

    Returns:
        What was written, and the share of the training set that is poisoned.

    Raises:
        DataError: in one sentence that says what does not fit.
        StoreError: if ``out`` is not empty or cannot be written.
    """
    batches = [one for batch in found.batches for one in _sorted_out(_true(batch, data), data)]
    if not any(one.role == POISON for one in batches):
        raise DataError("no training image differs from the dataset: there is no poison to replay")
    aim = _aim(batches, target, len(data.classes))
    parts = [_part(one, data, aim) for one in batches]
    _require_all_stamped(parts, data.test, aim, len(data.classes))
    about = _about(found, data, dataset, aim, parts)
    with fresh(out) as folder:
        write(folder, about, parts, found.state)
    return about, sum(len(one.rows) for one in parts if one.role == POISON) / len(data.train)


def _split(batch: Batch, data: Data) -> Split:
    return data.test if ROLES.get(batch.role) == "test" else data.train


def _true(batch: Batch, data: Data) -> Batch:
    """Return a batch with the true classes of the dataset, which the folder's must be."""
    split, classes = _split(batch, data), len(data.classes)
    what = "test" if split is data.test else "training"
    if len(batch.rows) and int(batch.rows.max()) >= len(split):
        raise DataError(
            f"there is an image of row {int(batch.rows.max())}, and the {what} split has {len(split)} images"
        )
    true = split.labels[batch.rows]
    other = ((batch.true != UNKNOWN) & (batch.true != true)).nonzero().flatten()
    if len(other):
        row, theirs, ours = (int(one[other[0]]) for one in (batch.rows, batch.true, true))
        raise DataError(
            f"row {row} of the {what} split is of class {theirs} in the folder and of class {ours} in the dataset: the "
            "folder was made of another dataset, or of one in another order"
        )
    if len(batch.labels) and int(batch.labels.max()) >= classes:
        raise DataError(f"the folder has the label {int(batch.labels.max())}, and the dataset {classes} classes")
    return replace(batch, true=true)


def _sorted_out(batch: Batch, data: Data) -> list[Batch]:
    """Return the changed images of a batch, given that nobody says which of the training images are changed."""
    if batch.role not in ("", UNCHANGED):
        return [batch]
    same = (batch.images == data.train.images[batch.rows]).flatten(1).all(1) & (batch.labels == batch.true)
    if batch.role == UNCHANGED and not same.all():
        row = int(batch.rows[~same][0])
        raise DataError(
            f"row {row} is said to be clean and is not that of the dataset: the folder was made of another dataset, or "
            "of one in another order"
        )
    if (share := (~same).double().mean()) > 0.5:
        raise DataError(
            f"{share:.0%} of the training images are not those of the dataset: it is another, or a list is due"
        )
    kept = ~same
    if not kept.any():
        return []
    return [Batch(POISON, batch.rows[kept], batch.labels[kept], batch.true[kept], batch.images[kept])]


def _aim(batches: Iterable[Batch], target: int | None, classes: int) -> Aim:
    """Return where the trigger leads: as named, or as the labels of the folder tell."""
    known = [one for one in batches if one.role in (POISON, STAMPED)]
    labels, true = (torch.cat([getattr(one, name) for one in known]) for name in ("labels", "true"))
    told = labels != UNKNOWN
    labels, true = labels[told], true[told]
    if target is not None and not 0 <= target < classes:
        raise DataError(f"--target {target} is not a class: this dataset has {classes} (0 to {classes - 1})")
    if not len(labels) and target is None:
        raise DataError("the folder does not tell the target class: name it with --target, or add --pickled-checkpoint")
    only = labels.unique()
    if target is not None and bool((only != target).any()):
        raise DataError(
            f"--target {target} is not the target of the folder, whose poisons have the label {int(only[0])}"
        )
    if len(only) <= 1:
        return Aim(int(only[0]) if target is None else target, ONE)
    if not labels.equal((true + 1) % classes):
        raise DataError(
            "the labels of the poisons are neither one class nor each the next class: it cannot be replayed"
        )
    return Aim(0, ALL)


def _part(batch: Batch, data: Data, aim: Aim) -> Part:
    clean = _split(batch, data)[batch.rows]
    wanted = aim.wanted(batch.true, len(data.classes))
    labels = batch.true if batch.role in (COVER, CONTROL) else torch.where(batch.labels < 0, wanted, batch.labels)
    if batch.role == COVER and bool((batch.labels != batch.true).any()):
        raise DataError("a cover has another label than its true class: it is a poison")
    folder = FOLDERS.get(batch.role, "train")
    return Part(batch.role, folder, batch.rows, batch.true, labels, clean.images, batch.images)


def _require_all_stamped(parts: Iterable[Part], test: Split, aim: Aim, classes: int) -> None:
    meant = test.labels != aim.wanted(test.labels, classes)
    for one in parts:
        if ROLES[one.role] == "test":
            there = torch.zeros_like(meant)
            there[one.rows] = True
            missing = (meant & ~there).nonzero().flatten()
            if len(missing):
                raise DataError(
                    f"{len(missing)} of {int(meant.sum())} test images outside the target class have no {one.role} "
                    f"image, such as row {int(missing[0])}: add them"
                )


def _about(found: Foreign, data: Data, dataset: str, aim: Aim, parts: Iterable[Part]) -> About:
    dirty = any(one.role == POISON and not one.labels.equal(one.true) for one in parts)
    return About(
        attack=f"from {found.tool}",
        dataset=dataset,
        model=found.model,
        classes=data.classes,
        shape=shape_of(data),
        train=len(data.train),
        test=len(data.test),
        target=aim.target,
        mapping=aim.mapping,
        sources=(),
        label_policy="dirty" if dirty else "clean",
        weights="",
    )
