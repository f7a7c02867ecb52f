"""Records that go into a leaderboard, each in the place of what the leaderboard has of the same cell and seed."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.errors import StoreError
from benchkit.store.files import stay, write_atomic
from benchkit.store.pictures import folder_of
from benchkit.store.recorded import file_of, files_of

if TYPE_CHECKING:
    from benchkit.records.record import Record


@dataclass(frozen=True)
class Added:
    """How many records are new to a leaderboard, how many took the place of older ones, and how many were there."""

    new: int
    replacing: int
    there: int


def add(records: Sequence[Record], known: Iterable[Record], board: Path) -> Added:
    """Write records into a leaderboard, which then has no others of their cells and seeds.

    Each is written before what it replaces is removed, so an interrupted call loses nothing and may be made again.

    Args:
        records: one of each cell and seed.
        known: what the leaderboard has, as read from ``board``.

    Raises:
        StoreError: if the leaderboard cannot be written, or a link in it leads out of it; then nothing was changed.
    """
    before: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in known:
        before[record.identity].append(record)
    counts = {"new": 0, "replacing": 0, "there": 0}
    try:
        for record in records:
            for path in (file_of(vars(record)), *(Path(one.file) for one in before[record.identity])):
                stay(board, board / folder_of(path) / "any", "the leaderboard")
        for record in records:
            old = before[record.identity]
            same = any(one.key == record.key for one in old)
            counts["there" if same else "replacing" if old else "new"] += 1
            if not same:
                _write(record, board)
            _remove((one for one in old if one.key != record.key), board)
    except OSError as error:
        raise StoreError(f"cannot write the leaderboard {board}: {error.strerror or error}") from error
    return Added(**counts)


def _write(record: Record, board: Path) -> None:
    _, files = files_of(record)
    for path, raw in files.items():
        (board / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(board / path, raw)


def _remove(records: Iterable[Record], board: Path) -> None:
    for record in records:
        path = board / record.file
        path.unlink(missing_ok=True)
        shutil.rmtree(folder_of(path), ignore_errors=True)
