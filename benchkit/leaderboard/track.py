"""A track of a leaderboard: every attack against every defense on one dataset, model, recipe and poison rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchkit.errors import SpecError
from benchkit.hashing import digest
from benchkit.records.record import Record, finite
from benchkit.report.cells import Cell, cells_of
from benchkit.report.tables.matrix import Axes, groups_of
from benchkit.spec.suite import read_toml
from benchkit.store.files import slug

ABOUT = "tracks.toml"
"""The file beside the records of a leaderboard that says what each of its tracks cannot tell."""
AXES = ("dataset", "model", "recipe", "poison_rate")
TEXTS = ("name", "limits")
Pair = tuple[str, str]
"""An attack and a defense."""


@dataclass(frozen=True)
class Said:
    """What a ``tracks.toml`` says of the tracks of a place, which may leave some of the axes open."""

    place: dict[str, str]
    name: str = ""
    limits: str = ""

    def tells_of(self, track: Track) -> bool:
        """Return whether it means a track."""
        return all(track.place[axis] == value for axis, value in self.place.items())


@dataclass(frozen=True)
class Track:
    """The cells of one dataset, model, recipe and poison rate, the benign ones included.

    Attributes:
        name: what readers call its dataset; "" if that is as runs call it.
        limits: what the track cannot tell, in a sentence; may be empty.
    """

    cells: tuple[Cell, ...]
    name: str = ""
    limits: str = ""

    @property
    def place(self) -> dict[str, str]:
        """Its values on the axes, as tables write them."""
        return {axis: self._host.label(axis) for axis in AXES}

    @property
    def title(self) -> str:
        """Its name for readers."""
        place = self.place
        return f"{self.name or place['dataset']}, {place['model']}, {place['recipe']}, {place['poison_rate']} poisoned"

    @property
    def slug(self) -> str:
        """Its name for files; of tracks whose names a file cannot have, a part of a hash tells them apart."""
        name = "-".join(self.place.values()).removesuffix(" %")
        safe = slug(name)
        return safe if safe == name else f"{safe[:60]}-{digest(name)[:8]}"

    @property
    def _host(self) -> Cell:
        # Benign rows may come from another poison rate.
        return next((cell for cell in self.cells if not cell.benign), self.cells[0])

    @property
    def attacks(self) -> tuple[str, ...]:
        """The rows, benign ones included."""
        return self._values("attack")

    @property
    def defenses(self) -> tuple[str, ...]:
        """The columns, that without a defense included."""
        return self._values("defense")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of any cell."""
        return tuple(sorted({record.seed for cell in self.cells for record in cell.records}))

    @property
    def missing(self) -> tuple[Pair, ...]:
        """The cells that no seed of the track has."""
        there = {(str(cell.axis("attack")), str(cell.axis("defense"))) for cell in self.cells}
        return tuple((row, col) for row in self.attacks for col in self.defenses if (row, col) not in there)

    @property
    def unfinished(self) -> tuple[tuple[Pair, tuple[int, ...]], ...]:
        """The cells that lack a result for some seeds, and these seeds."""
        found = (
            ((str(cell.axis("attack")), str(cell.axis("defense"))), tuple(sorted({*self.seeds} - _done(cell))))
            for cell in self.cells
        )
        return tuple((pair, seeds) for pair, seeds in found if seeds)

    @property
    def complete(self) -> bool:
        """Whether each attack met each defense under each seed, with a result."""
        return not self.missing and not self.unfinished

    def _values(self, axis: str) -> tuple[str, ...]:
        ordered = sorted(self.cells, key=lambda cell: cell.place(axis))
        return tuple(dict.fromkeys(str(cell.axis(axis)) for cell in ordered))


def _done(cell: Cell) -> set[int]:
    return {record.seed for record in cell.ok}


def tracks_of(records: Iterable[Record], about: Path | None = None) -> list[Track]:
    """Return the tracks of these records, the fullest first.

    Args:
        about: a TOML file with names and limits of tracks, if there is one.

    Raises:
        SpecError: if that file is not as ``said_in`` reads it.
    """
    said = said_in(about) if about else []
    found = (Track(tuple(group)) for group in groups_of(cells_of(records), Axes()))
    return sorted((_told(track, said) for track in found), key=lambda track: (-len(track.cells), track.slug))


def _told(track: Track, said: Iterable[Said]) -> Track:
    one = next((one for one in said if one.tells_of(track)), None)
    return replace(track, name=one.name, limits=one.limits) if one else track


def said_in(path: Path) -> list[Said]:
    """Return what a ``tracks.toml`` says: where a track stands, on as many axes as are given, its name and its limits.

    Raises:
        SpecError: if it is no TOML, or says something else, in one sentence.
    """
    _, found = read_toml(path, "the list of tracks")
    tracks = found.get("tracks", [])
    if found.keys() - {"tracks"} or not isinstance(tracks, list):
        raise SpecError(f"{path} must hold [[tracks]] tables and nothing else")
    return [_said(path, one) for one in tracks]


def _said(path: Path, one: object) -> Said:
    if not isinstance(one, dict) or one.keys() - {*AXES, *TEXTS} or "limits" not in one or not _are_texts(one):
        raise SpecError(
            f"each of the [[tracks]] in {path} has limits, a text, may have a name, "
            f"and of {', '.join(AXES)} what it is for"
        )
    place = {axis: _value(one[axis]) for axis in AXES if axis in one}
    return Said(place, **{name: one[name] for name in TEXTS if name in one})


def _are_texts(one: dict[str, Any]) -> bool:
    return all(isinstance(one.get(name, ""), str) for name in TEXTS)


def _value(value: Any) -> str:
    return f"{100 * value:g} %" if finite(value) else str(value)
