"""Which image of a folder stands for which row of a data set: two layouts, told apart by what is in the folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchkit import files
from benchkit.errors import DataError
from benchkit.files import Passed, walk

TRAIN, TEST = "train.csv", "test.csv"
BB_TRAIN, BB_TEST = "bd_train_dataset", "bd_test_dataset"
"""The folders of BackdoorBench: ``LABEL/ROW.png`` in each, LABEL being the true one."""
MOST = 10_000_000
"""Rows in the largest table."""


@dataclass(frozen=True)
class Listed:
    """One image file.

    Attributes:
        row: the place in its split of the data set, from 0 on.
        label: what it is labelled as; None where the layout does not say.
    """

    path: Path
    row: int
    label: int | None = None


@dataclass(frozen=True)
class Layout:
    """What a folder holds: poisoned training images, and stamped test images."""

    train: tuple[Listed, ...]
    test: tuple[Listed, ...]


def read(root: Path) -> Layout:
    """Return what a folder holds: tables beside the images, or BackdoorBench's folders.

    Raises:
        DataError: in one sentence that says what is missing.
    """
    if (root / TRAIN).is_file() or (root / TEST).is_file():
        return Layout(_tabled(root, TRAIN, labelled=True), _tabled(root, TEST, labelled=False))
    if (root / BB_TRAIN).is_dir() or (root / BB_TEST).is_dir():
        return Layout(_numbered(root / BB_TRAIN), _numbered(root / BB_TEST))
    raise DataError(
        f"{root} is no attack in files: it has neither {TRAIN} and {TEST} (columns row, file and label) nor "
        f"BackdoorBench's {BB_TRAIN} and {BB_TEST}"
    )


def _tabled(root: Path, name: str, *, labelled: bool) -> tuple[Listed, ...]:
    path = root / name
    try:
        text = files.read(path, files.RECORD).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}") from error
    wanted = {"row", "file", "label"} if labelled else {"row", "file"}
    table = csv.DictReader(io.StringIO(text))
    if not wanted <= set(table.fieldnames or ()):
        raise DataError(f"{path} needs the columns {', '.join(sorted(wanted))}")
    return _once(path, tuple(_line(root, path, number, line) for number, line in enumerate(table, 2)))


def _line(root: Path, table: Path, number: int, line: dict[str, str | None]) -> Listed:
    row, label = (_whole(line.get(name)) for name in ("row", "label"))
    name = line.get("file") or ""
    path = root / name
    if row is None or not name or (line.get("label") and label is None):
        raise DataError(f"{table}, line {number}: row and label are whole numbers from 0 on, and file is a name")
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{table}, line {number}: {name} leads out of {root}")
    return Listed(path, row, label)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < len(str(MOST)) else None


def _numbered(folder: Path) -> tuple[Listed, ...]:
    return _once(folder, tuple(sorted(_found(folder), key=lambda one: one.row)))


def _found(folder: Path) -> Iterator[Listed]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: a record of BackdoorBench has both {BB_TRAIN} and {BB_TEST}")
    for found in walk(folder, lambda name: name.endswith(".png"), Passed()):
        row = _whole(Path(found.path).stem)
        if found.fault or row is None:
            why = found.fault or "its name is not the number of a row"
            raise DataError(f"{folder / found.path} cannot be used: {why}")
        yield Listed(folder / found.path, row)


def _once(where: Path, found: tuple[Listed, ...]) -> tuple[Listed, ...]:
    if not found:
        raise DataError(f"{where} names no image")
    if len({one.row for one in found}) < len(found):
        raise DataError(f"{where} names a row more than once")
    return found
