"""From files to records: which files of a folder are records, what is said of the others, and which is the newest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchkit import files
from benchkit.errors import NothingToRun, StoreError
from benchkit.files import Passed, walk
from benchkit.records.record import SCHEMA, Record, parse
from benchkit.store.pictures import Pictures, folder_of
from benchkit.text import printable, warn


def read_records(results: Path) -> list[Record]:
    """Read every record below a folder, and warn of what was ignored.

    Raises:
        StoreError, NothingToRun: each in one sentence.
    """
    records, warnings = read(results)
    for line in warnings:
        warn(f"warning: {line}")
    if not records:
        raise NothingToRun(f"{results} holds no results: fill it with benchkit run")
    return records


def read(folder: Path) -> tuple[list[Record], list[str]]:
    """Read every record below ``folder``, including linked folders; report ignored and unreadable files.

    Raises:
        StoreError: if the folder is missing or cannot be listed.
    """
    if not folder.is_dir():
        raise StoreError(f"there is no results folder at {folder}: name one that benchkit run has filled")
    records, ignored, unread = list[Record](), list[str](), list[str]()
    passed = Passed()
    for found in walk(folder, _named_like_a_record, passed, enter=_not_artifacts):
        if found.fault and not found.path:
            raise StoreError(f"cannot list the results in {folder}: {found.fault}")
        record = None if found.fault else _read_file(folder, found.path)
        if record is not None:
            records.append(record)
        elif found.fault:
            unread.append(f"{found.path}: {found.fault}")
        else:
            ignored.append(found.path)
    unread += [f"{passed.odd} that are neither a file nor a folder"] if passed.odd else []
    return records, [*_ignored_line(ignored), *_unread_line(unread)]


def _named_like_a_record(name: str) -> bool:
    return name.endswith(".json")


def _not_artifacts(name: str) -> bool:
    return name != "artifacts"


def _read_file(folder: Path, name: str) -> Record | None:
    try:
        record = parse(json.loads(files.read(f"{folder}/{name}", files.RECORD)), name)
    except (OSError, ValueError, RecursionError):
        return None
    if record is None or not record.gallery:
        return record
    return replace(record, gallery=Pictures(folder_of(folder / name), record.gallery))


def _ignored_line(ignored: list[str]) -> list[str]:
    if not ignored:
        return []
    what = "1 file that is" if len(ignored) == 1 else f"{len(ignored)} files that are"
    return [f"ignored {what} not a benchkit record of schema {SCHEMA}: {_some(ignored)}"]


def _unread_line(unread: list[str]) -> list[str]:
    """Return a note about unread folders and files that may hold records."""
    return [f"not read, so their records are missing here: {_some(unread)}"] if unread else []


def _some(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")


def newest(records: Iterable[Record]) -> list[Record]:
    """Keep one record per identity, the one that finished last; the order is not specified."""
    chosen: dict[tuple[object, ...], Record] = {}
    for record in records:
        old = chosen.setdefault(record.identity, record)
        if old is not record and record.age > old.age:
            chosen[record.identity] = record
    return list(chosen.values())
