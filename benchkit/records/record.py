"""What a record is: one class, how it becomes JSON, and how JSON from anywhere becomes one. Torch-free."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypedDict, TypeGuard

from benchkit.text import printable

SCHEMA = 1
STATUSES = ("ok", "failed", "timeout", "skipped")
NAMES = ("attack", "defense", "dataset", "model")
"""What a record names by text."""
IDENTITY = ("key", *NAMES, "seed")
"""What a record must have in common with the cell that it is found for."""
WHERE_KNOWN = ("device", "threads", "curves", "gallery", "tested", "declared", "suspected")
"""What a file holds only where there is something to say."""


class Suspect(TypedDict):
    """A class that a defense suspects: its number, its name in the dataset, and for how many models it was named."""

    number: int
    name: str
    models: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cell under one seed: what it is of, what became of it, and how it was made.

    One that was read has finite ``metrics`` and printable text. What is inside ``attack_info``, ``defense_info``,
    ``costs``, ``curves``, ``gallery``, ``declared`` and ``traceback`` is as it was found.

    Attributes:
        poison_rate: a share of the training set; None where a record from elsewhere does not say.
        population: how many backdoored models, and as many benign, a model detector judges; 0 for any other defense.
        status: one of ``STATUSES``.
        error, traceback: why there is no result; "" where there is one, and where nothing more is known.
        metrics: fractions, unless ``metrics.METRICS`` or ``declared`` gives another unit than ``%``.
        declared: title, unit, direction and meaning of those metrics that plugins declare, by name.
        suspected: the classes that the defense suspects, the most often named first.
        attack_info, defense_info: what the two assume, and their parameters.
        costs: seconds, peak_mb and peak_device_mb (MiB), by the role of the step: ``cell`` and its parents.
        versions: of Python and of packages.
        device, threads: what the cell was measured with; "" and 0 where that is not known.
        curves: what a report can draw, as ``benchkit.measure.evidence`` makes it.
        gallery: pictures by caption: data URIs, or in a record's file the names of files in the folder beside it.
        tested: over how many test images the shares are, ``clean`` and ``triggered``, where it says so.
        finished: when, in UTC, such as 2026-01-31T12:00:00Z.
        file: where it was read from, below the folder that was asked for; "" for a record from elsewhere.
    """

    key: str
    dataset: str
    model: str
    recipe: str
    attack: str
    defense: str
    seed: int
    poison_rate: float | None
    population: int = 0
    status: str
    error: str = ""
    traceback: str = field(default="", repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    attack_info: Mapping[str, Any] = field(default_factory=dict)
    defense_info: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    threads: int = 0
    curves: Mapping[str, Any] = field(default_factory=dict)
    gallery: Mapping[str, Any] = field(default_factory=dict)
    tested: Mapping[str, int] = field(default_factory=dict)
    declared: Mapping[str, Any] = field(default_factory=dict)
    suspected: tuple[Suspect, ...] = ()
    finished: str = ""
    file: str = ""

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
        return (self.moment, self.key, repr(self))

    @cached_property
    def moment(self) -> float:
        """When it was finished, in seconds since 1970; minus infinity where that is not known."""
        try:
            moment = datetime.fromisoformat(self.finished)
        except ValueError:
            return -math.inf
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    @property
    def environment(self) -> dict[str, str]:
        """What it ran with, by name: versions, and the device and the number of threads where they are known."""
        known = {"device": self.device, "threads": str(self.threads or "")}
        return {**self.versions, **{name: said for name, said in known.items() if said}}

    def to_json(self) -> dict[str, Any]:
        """Return what the file of this record holds, and what observers are told."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "file"}
        found |= {"schema": SCHEMA, "error": self.error or None, "traceback": self.traceback or None}
        found |= {"warnings": list(self.warnings), "suspected": list(self.suspected)}
        gone = {name for name in WHERE_KNOWN if not found[name]} | ({"traceback"} if self.status == "ok" else set())
        return {name: value for name, value in found.items() if name not in gone}


def is_record(found: object) -> TypeGuard[dict[str, Any]]:
    """Return whether decoded JSON is a whole record of this schema: one that a report can read."""
    return (
        isinstance(found, dict)
        and found.get("schema") == SCHEMA
        and all(isinstance(found.get(name), str) for name in NAMES)
        and type(found.get("seed")) is int
        and found.get("status") in STATUSES
        and isinstance(found.get("metrics", {}), dict)
        and isinstance(found.get("warnings") or [], list)
    )


def parse_own(found: object, identity: Mapping[str, Any]) -> Record | None:
    """Return the record that decoded JSON holds, if a run may count on it: a whole one, of this cell and this key."""
    same = is_record(found) and all(found.get(name) == identity[name] for name in IDENTITY)
    return parse(found) if same else None


def parse(found: object, file: str = "") -> Record | None:
    """Return the record that decoded JSON holds, whoever wrote it, or None when it is not one of this schema.

    A number that is not finite is left out, and a warning says so. What the cell itself cost is among the metrics where
    these do not say it.
    """
    if not is_record(found):
        return None
    metrics, odd = _numbers({**_cell_costs(found), **found.get("metrics", {})})
    warnings = [printable(text) for text in found.get("warnings") or [] if isinstance(text, str)]
    return Record(
        key=printable(str(found.get("key"))),
        seed=found["seed"],
        poison_rate=_numbers({"rate": found.get("poison_rate")})[0].get("rate"),
        population=int(found["population"]) if finite(found.get("population")) else 0,
        status=found["status"],
        traceback=str(found.get("traceback") or ""),
        metrics=metrics,
        warnings=(*warnings, *(f"{name} is not a finite number and was left out" for name in odd)),
        versions=_texts(found.get("versions")),
        threads=_counts(found).get("threads", 0),
        tested=_counts(found.get("tested")),
        suspected=_suspects(found.get("suspected")),
        file=printable(file),
        **_each(found, (*NAMES, "recipe", "error", "device", "finished"), _text),
        **_each(found, ("attack_info", "defense_info", "costs", "curves", "gallery", "declared"), _mapping),
    )


def finite(value: object) -> TypeGuard[float]:
    """Say whether a decoded value is a number that a float can hold."""
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max


def _each(found: Mapping[str, Any], names: Iterable[str], read: Callable[[object], object]) -> dict[str, Any]:
    return {name: read(found.get(name)) for name in names}


def _text(found: object) -> str:
    return printable(str(found or ""))


def _texts(found: object) -> dict[str, str]:
    said = {name: value for name, value in _mapping(found).items() if value is not None}
    return {printable(name): printable(str(value)) for name, value in said.items()}


def _mapping(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _counts(found: object) -> dict[str, int]:
    return {name: value for name, value in _mapping(found).items() if type(value) is int and value >= 0}


def _suspects(found: object) -> tuple[Suspect, ...]:
    each = [(_counts(one), _mapping(one)) for one in (found if isinstance(found, list) else [])]
    return tuple(
        Suspect(number=counts["number"], name=_text(said.get("name")), models=counts["models"])
        for counts, said in each
        if counts.keys() >= {"number", "models"}
    )


def _cell_costs(found: dict[str, Any]) -> dict[str, Any]:
    cell = _mapping(_mapping(found.get("costs")).get("cell"))
    return {name: cell[name] for name in ("seconds", "peak_mb") if cell.get(name) is not None}


def _numbers(raw: dict[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Split values into finite numbers and the names of all others; null means not measured."""
    raw = {name: value for name, value in raw.items() if value is not None}
    good = {printable(name): float(value) for name, value in raw.items() if finite(value)}
    return good, [name for name in map(printable, raw) if name not in good]
