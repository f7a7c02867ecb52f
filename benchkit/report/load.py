"""From files to records. Every record is checked here once; the rest of the report trusts it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchkit import files
from benchkit.errors import StoreError
from benchkit.files import Passed, walk
from benchkit.records.schema import NAMES, SCHEMA, is_record
from benchkit.text import printable


@dataclass(frozen=True)
class Record:
    """One cell with one seed, as written by a finished run. ``metrics`` are finite; text is printable.

    ``population`` is the number of backdoored (and of benign) models that a model detector judges, and 0 for other
    defenses. ``file`` is its path below the requested folder, or "" for a record from elsewhere. ``tested`` is the
    number of ``clean`` and ``triggered`` test images of its shares, if the record gives it. The contents of
    ``attack_info``, ``defense_info``, ``costs``, ``curves`` and ``gallery`` are not checked.
    """

    attack: str
    defense: str
    dataset: str
    model: str
    recipe: str
    poison_rate: float | None
    seed: int
    status: str
    error: str
    metrics: dict[str, float]
    warnings: tuple[str, ...]
    attack_info: dict[str, Any]
    defense_info: dict[str, Any]
    costs: dict[str, Any]
    versions: dict[str, str]
    curves: dict[str, Any]
    gallery: dict[str, Any]
    finished: float
    key: str
    file: str
    population: int
    tested: dict[str, int]

    @property
    def identity(self) -> tuple[object, ...]:
        """The measured cell and seed: of records with the same identity, the newest one counts."""
        return (*self.place, self.population, self.seed)

    @property
    def place(self) -> tuple[object, ...]:
        """Its position in the matrix, without seed and population."""
        return (self.attack, self.defense, self.dataset, self.model, self.recipe, self.poison_rate)

    @property
    def age(self) -> tuple[float, str, str]:
        """The sort key of records of one identity, from old to new, without ties that depend on the file order."""
        return (self.finished, self.key, repr(self))


def read(folder: Path) -> tuple[list[Record], list[str]]:
    """Read every record below ``folder``, including linked folders; report ignored and unreadable files.

    Raises:
        StoreError: if the folder is missing or cannot be listed.
    """
    if not folder.is_dir():
        raise StoreError(
            f"there is no results folder at {folder}: name one with --results, or fill it with benchkit run"
        )
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
        return parse(json.loads(files.read(f"{folder}/{name}", files.RECORD)), name)
    except (OSError, ValueError, RecursionError):
        return None


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


def parse(found: object, file: str = "") -> Record | None:
    """Return the record in a decoded JSON file, or None if it is not a record of schema 1."""
    if not is_record(found):
        return None
    assert isinstance(found, dict)
    costs = _mapping(found.get("costs"))
    metrics, odd = _numbers({**_cell_costs(costs), **found.get("metrics", {})})
    warnings = [printable(text) for text in found.get("warnings") or [] if isinstance(text, str)]
    return Record(
        **{name: printable(found[name]) for name in NAMES},
        recipe=printable(str(found.get("recipe") or "")),
        poison_rate=_numbers({"rate": found.get("poison_rate")})[0].get("rate"),
        seed=found["seed"],
        status=found["status"],
        error=printable(str(found.get("error") or "")),
        metrics=metrics,
        warnings=(*warnings, *(f"{name} is not a finite number and was left out" for name in odd)),
        attack_info=_mapping(found.get("attack_info")),
        defense_info=_mapping(found.get("defense_info")),
        costs=costs,
        versions=_versions(found),
        curves=_mapping(found.get("curves")),
        gallery=_mapping(found.get("gallery")),
        finished=_moment(found.get("finished")),
        key=str(found.get("key")),
        file=printable(file),
        population=int(found["population"]) if finite(found.get("population")) else 0,
        tested=_counts(found.get("tested")),
    )


def _mapping(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _counts(found: object) -> dict[str, int]:
    return {name: value for name, value in _mapping(found).items() if type(value) is int and value > 0}


def _cell_costs(costs: dict[str, Any]) -> dict[str, Any]:
    cell = _mapping(costs.get("cell"))
    return {name: cell[name] for name in ("seconds", "peak_mb") if cell.get(name) is not None}


def _numbers(raw: dict[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Split values into finite numbers and the names of the others; null means not measured."""
    raw = {name: value for name, value in raw.items() if value is not None}
    good = {printable(name): float(value) for name, value in raw.items() if finite(value)}
    return good, [name for name in map(printable, raw) if name not in good]


def finite(value: object) -> bool:
    """Return whether a decoded value is a finite number in the range of a float."""
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max


def _versions(found: dict[str, Any]) -> dict[str, str]:
    said = {**_mapping(found.get("versions")), "device": found.get("device"), "threads": found.get("threads")}
    return {printable(str(name)): printable(str(value)) for name, value in said.items() if value is not None}


def _moment(text: object) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return -math.inf
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def newest(records: Iterable[Record]) -> list[Record]:
    """Keep one record per identity, the one that finished last; the order is not specified."""
    chosen: dict[tuple[object, ...], Record] = {}
    for record in records:
        old = chosen.setdefault(record.identity, record)
        if old is not record and record.age > old.age:
            chosen[record.identity] = record
    return list(chosen.values())
