"""Files -> records. Every record is checked here once; the rest of the report trusts it."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchkit.errors import StoreError
from benchkit.schema import NAMES, SCHEMA, is_record
from benchkit.words import printable


@dataclass(frozen=True)
class Record:
    """One cell under one seed, as a finished run left it. ``metrics`` are finite; text is printable.

    ``population`` is how many backdoored models, and as many benign, a model detector judges; 0 for any other defense.
    ``file`` is where it was read from, below the folder that was asked for; "" for a record from elsewhere.
    ``tested`` is over how many test images its shares are, ``clean`` and ``triggered``, where it says so.
    What is inside ``attack_info``, ``defense_info``, ``costs``, ``curves`` and ``gallery`` is as it was found.
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
        """What it measured: two records with the same identity are the older and the newer answer."""
        return (*self.place, self.population, self.seed)

    @property
    def place(self) -> tuple[object, ...]:
        """Where in the matrix it stands, whatever the seed and the population."""
        return (self.attack, self.defense, self.dataset, self.model, self.recipe, self.poison_rate)

    @property
    def age(self) -> tuple[float, str, str]:
        """Sorts records of one identity from old to new, without ties that file order could break."""
        return (self.finished, self.key, repr(self))


def read(folder: Path) -> tuple[list[Record], list[str]]:
    """Read every record below ``folder``, linked folders included; say what was ignored.

    Raises:
        StoreError: when the folder is missing or cannot be listed.
    """
    if not folder.is_dir():
        raise StoreError(
            f"there is no results folder at {folder}: name one with --results, or fill it with benchkit run"
        )
    found, ignored = [], []
    for path in _files(folder):
        name = os.path.relpath(path, folder)
        record = _read_file(path, name)
        if record is None:
            ignored.append(name)
        else:
            found.append(record)
    return found, _ignored_line(ignored)


def _files(folder: Path) -> list[str]:
    # Plain strings and os.walk: pathlib costs more than the parsing of ten thousand small files.
    def refuse(error: OSError) -> None:
        raise StoreError(f"cannot list the results in {error.filename}: {error.strerror}")

    paths = []
    seen = set[tuple[int, int]]()  # a folder may be linked from below itself
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = os.stat(parent)  # noqa: PTH116 - see above
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if name != "artifacts")
        paths += [f"{parent}/{name}" for name in sorted(names) if name.endswith(".json")]
    return paths


def _read_file(path: str, name: str) -> Record | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - see _files
            return parse(json.loads(file.read()), name)
    except (OSError, ValueError, RecursionError):
        return None


def _ignored_line(ignored: list[str]) -> list[str]:
    if not ignored:
        return []
    some = ", ".join(printable(name) for name in ignored[:3]) + (", ..." if len(ignored) > 3 else "")
    files = "1 file that is" if len(ignored) == 1 else f"{len(ignored)} files that are"
    return [f"ignored {files} not a benchkit record of schema {SCHEMA}: {some}"]


def parse(found: object, file: str = "") -> Record | None:
    """Return the record that a decoded JSON file holds, or None when it is not one of schema 1."""
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
    """Split values into finite numbers and the names of all others; null means not measured."""
    raw = {name: value for name, value in raw.items() if value is not None}
    good = {printable(name): float(value) for name, value in raw.items() if finite(value)}
    return good, [name for name in map(printable, raw) if name not in good]


def finite(value: object) -> bool:
    """Say whether a decoded value is a number that a float can hold."""
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
    """Keep one record per identity, the one that finished last, in no promised order."""
    chosen: dict[tuple[object, ...], Record] = {}
    for record in records:
        old = chosen.setdefault(record.identity, record)
        if old is not record and record.age > old.age:
            chosen[record.identity] = record
    return list(chosen.values())
