"""An attack as files: what ``benchkit export --to images`` and ``benchkit import`` write, and ``replay`` reads.

Public for plugins. A folder holds ``attack.json`` (what the attack is, :class:`About`), ``rows.csv`` (one line for each
image, :class:`Row`), the images as PNG, and possibly ``weights.safetensors``. A row is found again by the pixels of its
clean image, not by its place: whoever is handed some images of the dataset can tell which ones they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from benchkit import files
from benchkit.errors import DataError
from benchkit.ops.imagefiles import named_like_an_image
from benchkit.ops.pictures import digests, pictures

if TYPE_CHECKING:
    from torch import Tensor

ABOUT, ROWS, WEIGHTS = "attack.json", "rows.csv", "weights.safetensors"
FORMAT = 1
LISTED = 2**29
"""Bytes in the largest ``rows.csv`` that is read."""
POISON, COVER, UNCHANGED, STAMPED, CONTROL = "poison", "cover", "clean", "stamped", "control"
ONE, ALL = "all-to-one", "all-to-all"
"""How classes are mapped to targets, as the parameter ``mapping`` of an attack has it."""
ROLES = {POISON: "train", COVER: "train", UNCHANGED: "train", STAMPED: "test", CONTROL: "test"}
"""What an image is for, and the split of the dataset that its row counts in."""


@dataclass(frozen=True)
class Row:
    """One image of the folder.

    Attributes:
        role: a key of ``ROLES``.
        row: the index of its clean image in that split of the dataset.
        true: the class of the clean image.
        label: the label that a poisoned training set has for it, or that the attacker wants.
        file: its path in the folder, with slashes.
        clean, pixels: what :func:`digests` gives for the clean image and for the image itself.
    """

    role: str
    row: int
    true: int
    label: int
    file: str
    clean: str
    pixels: str


COLUMNS = tuple(one.name for one in fields(Row))


@dataclass(frozen=True)
class About:
    """What an attack in files is.

    Attributes:
        attack, dataset, model: what made it, in words; ``model`` is the architecture of the weights, "" without any.
        classes: the names of the classes.
        shape: (C, H, W) of every image.
        train, test: images in the training and the test split of the dataset.
        target, mapping: as the parameters of an attack; ``target`` is 0 where the mapping is ``all-to-all``.
        sources: classes whose images the trigger is meant for; empty: all but the target.
        label_policy: ``dirty`` or ``clean``.
        weights: SHA-256 of ``weights.safetensors``, or "".
    """

    attack: str
    dataset: str
    model: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    target: int
    mapping: str
    sources: tuple[int, ...]
    label_policy: str
    weights: str

    def to_json(self) -> str:
        """Return the content of ``attack.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class AttackFiles:
    """A folder whose lists have been checked; its images are checked as they are read."""

    root: Path
    about: About
    rows: tuple[Row, ...]
    digest: str

    def of(self, *roles: str) -> list[Row]:
        """Return the rows of these roles, in the order of the list."""
        return [one for one in self.rows if one.role in roles]

    def load(self, rows: Sequence[Row]) -> Tensor:
        """Return the images of rows, uint8 (N, C, H, W).

        Raises:
            DataError: naming the first file that is missing, no image of the right size, or another image than listed.
        """
        images = pictures(self.root, [one.file for one in rows], self.about.shape)
        for one, found in zip(rows, digests(images), strict=True):
            if one.pixels != found.hex():
                raise DataError(f"{self.root / one.file} is not the image that {ROWS} lists: make the folder again")
        return images


def read(root: Path) -> AttackFiles:
    """Read and check the lists of a folder.

    Raises:
        DataError: in one sentence.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}: check root=")
    if not (root / ABOUT).exists():
        raise DataError(f"{root} holds no {ABOUT}: make a folder that does with benchkit import {root}")
    told, listed = (_content(root / name, most) for name, most in ((ABOUT, files.TEXT), (ROWS, LISTED)))
    about = _about(root / ABOUT, told)
    rows = tuple(_rows(root / ROWS, listed, about))
    if not any(one.role == STAMPED for one in rows):
        raise DataError(f"{root / ROWS} lists no stamped test image: without one there is no ASR")
    return AttackFiles(root, about, rows, hashlib.sha256(told + b"\0" + listed).hexdigest()[:16])


def _content(path: Path, most: int) -> bytes:
    try:
        with files.opened(path, most, links=False) as file:
            return file.read(most)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _about(path: Path, raw: bytes) -> About:
    try:
        told = json.loads(raw)
        if told.pop("format") != FORMAT:
            raise DataError(f"{path} is of another format than {FORMAT}: make the folder again with this benchkit")
        lists = {name: tuple(told[name]) for name in ("classes", "shape", "sources")}
        about = About(**{**told, **lists})
        fine = all(_typed(about, one.name, str(one.type)) for one in fields(About)) and len(about.shape) == 3
        whole = all(type(side) is int for side in (*about.shape, *about.sources))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} does not describe an attack: make the folder again") from error
    known = about.mapping in (ONE, ALL) and about.label_policy in ("dirty", "clean")
    if not (fine and whole and known and 0 <= about.target < len(about.classes)):
        raise DataError(f"{path} does not describe an attack: make the folder again")
    return about


def _typed(about: About, name: str, kind: str) -> bool:
    value = getattr(about, name)
    return kind not in ("str", "int") or type(value).__name__ == kind


def _rows(path: Path, raw: bytes, about: About) -> Iterator[Row]:
    """Yield the rows of the list.

    Raises:
        DataError: naming the first line that is no row.
    """
    try:
        lines = csv.DictReader(io.StringIO(raw.decode()), strict=True)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path} must begin with the columns {','.join(COLUMNS)}")
        seen = set[tuple[str, int]]()
        for line in lines:
            row = _row(line)
            fault = "cannot be read" if row is None else _fault(row, about, seen)
            if row is None or fault:
                raise DataError(f"{path} line {lines.line_num} {fault}")
            yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: make the folder again") from error


def _row(line: dict[str, str]) -> Row | None:
    """Return a line of the list as a row, or None if it is none."""
    if len(line) != len(COLUMNS) or None in line.values():
        return None
    numbers = {name: line[name] for name in ("row", "true", "label")}
    if not all(one.isascii() and one.isdecimal() and len(one) < 10 for one in numbers.values()):
        return None
    return Row(**{**line, **{name: int(one) for name, one in numbers.items()}})  # type: ignore[arg-type]


def _fault(row: Row, about: About, seen: set[tuple[str, int]]) -> str:
    """Return what is wrong with a row, or "". A row is listed once in each split, controls apart."""
    if row.role not in ROLES:
        return f"has the role '{row.role}', which is none of {', '.join(ROLES)}"
    split = ROLES[row.role]
    if row.row >= getattr(about, split):
        return f"names row {row.row}, and the {split} split has {getattr(about, split)} images"
    if max(row.true, row.label) >= len(about.classes):
        return f"names class {max(row.true, row.label)}, and there are {len(about.classes)} classes"
    inside = PurePosixPath(row.file)
    plain = not inside.is_absolute() and ".." not in inside.parts and "\\" not in row.file
    if not (plain and named_like_an_image(inside.name)):
        return f"names '{row.file}', which is no image in the folder"
    listed = (CONTROL if row.role == CONTROL else split, row.row)
    if listed in seen:
        return f"lists row {row.row} of the {split} split again"
    seen.add(listed)
    return ""
