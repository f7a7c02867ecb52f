"""The results of other tools: which layout a folder has, and its images by the row of the clean one.

Images are read as the doors of benchkit read everything foreign: regular files alone, and no links.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from benchkit import files
from benchkit.contracts.data import Data
from benchkit.errors import DataError
from benchkit.ops.attackfiles import CONTROL, COVER, POISON, STAMPED, UNCHANGED
from benchkit.ops.imagefiles import named_like_an_image
from benchkit.ops.pictures import pictures

UNKNOWN = -1
"""Stands for a label that the folder does not tell."""
BENCH_TRAIN, BENCH_TEST = "bd_train_dataset", "bd_test_dataset"
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Batch:
    """Images of one role.

    Attributes:
        role: ``poison``, ``cover``, ``clean``, ``stamped`` or ``control``; "" for training images of which nobody says
            whether they were changed.
        rows: indices of the clean images in the split of the dataset, int64 (N,).
        labels, true: the label that the folder gives, and the true class, int64 (N,), or ``UNKNOWN``.
        images: uint8 (N, C, H, W).
    """

    role: str
    rows: Tensor
    labels: Tensor
    true: Tensor
    images: Tensor


@dataclass(frozen=True)
class Foreign:
    """A folder of another tool.

    Attributes:
        tool: its name.
        batches: its images.
        state: the weights of its victim by name, if the folder holds them.
        model: the architecture of those, as benchkit calls it.
    """

    tool: str
    batches: tuple[Batch, ...]
    state: dict[str, Tensor] | None = None
    model: str = ""


def shape_of(data: Data) -> Shape:
    """Return (C, H, W) of the images of a dataset."""
    channels, height, width = map(int, data.train.images.shape[1:])
    return channels, height, width


def bench(folder: Path, shape: Shape) -> list[Batch]:
    """Return BackdoorBench's images, ``TRUE/ROW.png``; which label the attacker wants, they do not tell."""
    return [
        _batch(role, folder / part, shape, lambda name: _number(name, "class"))
        for role, part in ((POISON, BENCH_TRAIN), (STAMPED, BENCH_TEST))
    ]


def tested(folder: Path, shape: Shape) -> list[Batch]:
    """Return the test images of a folder, ``stamped/ROW.png`` and perhaps ``control/ROW.png``."""
    found = [_batch(STAMPED, folder / "stamped", shape)]
    return found + ([_batch(CONTROL, folder / "control", shape)] if (folder / "control").exists() else [])


def trained(folder: Path, data: Data, shape: Shape) -> list[Batch]:
    """Return the training images of a folder, ``train/LABEL/ROW.png``, in the roles that ``rows.csv`` gives them."""
    by_name = {name: label for label, name in enumerate(data.classes)}
    found = _batch(
        "", folder / "train", shape, lambda name: by_name[name] if name in by_name else _number(name, "class")
    )
    labelled = Batch("", found.rows, found.true, torch.full_like(found.true, UNKNOWN), found.images)
    listed = folder / "rows.csv"
    return _by_role(labelled, _roles(listed)) if listed.exists() else [labelled]


def _batch(role: str, folder: Path, shape: Shape, label: Any = None) -> Batch:
    """Return the images below a folder; ``label`` turns the name of the folder around each into its class."""
    names, rows, true = [], list[int](), list[int]()
    for name in _listed(folder):
        path = PurePosixPath(name)
        names.append(name)
        rows.append(_number(path.stem, "row"))
        true.append(label(path.parent.name) if label else UNKNOWN)
    if len(set(rows)) < len(rows):
        twice = next(row for number, row in enumerate(rows) if row in rows[:number])
        raise DataError(f"{folder} has row {twice} more than once: leave one image of it")
    told = torch.tensor(true, dtype=torch.int64)
    numbers = torch.tensor(rows, dtype=torch.int64)
    return Batch(role, numbers, torch.full_like(told, UNKNOWN), told, pictures(folder, names, shape))


def _listed(folder: Path) -> list[str]:
    """Return the images below a folder, each by its path in it. Raises DataError for anything odd, and for none."""
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"{folder} must be a folder of images, and no link: make it, as docs/replay.md says")
    passed, found = files.Passed(), list[str]()
    for one in files.walk(folder, named_like_an_image, passed, links=False):
        if one.fault:
            raise DataError(f"{folder / one.path}: {one.fault}: mend or remove it")
        found.append(one.path.replace("\\", "/"))
    strange = "; ".join(passed.parts("an image"))
    if passed.odd or passed.links or not found:
        raise DataError(f"{folder} must hold images as regular files: there are {strange or 'none'}")
    return found


def _number(word: str, what: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise DataError(f"'{word}' is no {what}: images are named by the row of the clean image, in folders by class")
    return int(word)


def _roles(listed: Path) -> dict[int, str]:
    """Return the rows that a list names, each with its role, poison or cover."""
    try:
        lines = list(csv.DictReader(files.read(listed, files.TEXT).decode("utf-8-sig").splitlines()))
        found = {_number(line["row"], "row"): (line.get("role") or POISON) for line in lines}
    except OSError as error:
        raise DataError(f"{listed} cannot be read: {error.strerror}") from error
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{listed} must be a CSV file with a column row, and perhaps role") from error
    strange = sorted(set(found.values()) - {POISON, COVER})
    if strange or not found:
        raise DataError(
            f"{listed} must give each row the role poison or cover, got {strange[0] if strange else 'none'}"
        )
    return found


def _by_role(found: Batch, roles: dict[int, str]) -> list[Batch]:
    there: Sequence[int] = found.rows.tolist()
    missing = sorted(set(roles) - set(there))
    if missing:
        raise DataError(f"rows.csv names row {missing[0]}, of which there is no image in train/")
    words = [roles.get(row, UNCHANGED) for row in there]
    masks = {role: torch.tensor([word == role for word in words]) for role in (POISON, COVER, UNCHANGED)}
    return [
        Batch(role, found.rows[mask], found.labels[mask], found.true[mask], found.images[mask])
        for role, mask in masks.items()
        if mask.any()
    ]
