"""Which published number a cell is compared with."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchkit.params.component import Value, text
from benchkit.report.cells import Cell
from benchkit.report.parts import Part, part_of, same
from benchkit.report.published.numbers import MATCHED, Published


@dataclass(frozen=True)
class Book:
    """The rows of a file, and the selection of the row for each cell.

    A row matches a cell if attack, defense and dataset have the names and the parameters of the row. If any row of the
    file states a parameter of a component, this parameter distinguishes its rows: a row without it means the default,
    and our cell must have the default too. All other parameters are free.
    """

    rows: tuple[Published, ...]
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Maps our datasets to those of the file; the key ``""`` is for all datasets that the file does not have."""

    def metrics(self) -> list[str]:
        """Return the metrics in the file, in its order."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def datasets(self) -> list[str]:
        """Return the datasets in the file, in its order."""
        return list(dict.fromkeys(row.dataset.text for row in self.rows))

    def counts_as(self, dataset: str) -> str:
        """Return the published dataset for one of ours: itself unless there is a stand-in."""
        name = part_of(dataset).name
        for ours in (dataset, name):
            if ours and ours in self.stand_ins:
                return self.stand_ins[ours]
        return dataset if name in self._names("dataset") else self.stand_ins.get("", dataset)

    def match(self, cell: Cell) -> dict[str, Published]:
        """Return the row for each metric of the file in this cell, if there is one."""
        ours = [self._ours(axis, cell) for axis in MATCHED]
        rows = [
            row
            for row in self._by_names.get(tuple(part.name for part, _ in ours), [])
            if all(self._fits(axis, row.part(axis), *mine) for axis, mine in zip(MATCHED, ours, strict=True))
        ]
        # The row with the most parameters comes last and is kept: it may state a default that another omits.
        rows.sort(key=lambda row: sum(len(row.part(axis).stated) for axis in MATCHED))
        return {row.metric: row for row in rows}

    def unlike(self, row: Published, cell: Cell) -> list[str]:
        """Return the differences of a cell from the conditions that a published row states."""
        ours = _params(cell, "defense") | dict(part_of(str(cell.records[0].defense)).stated)
        said = [
            f"{key}={ours.get(key, 'not recorded')}, not {value}"
            for key, value in row.made_with.items()
            if not same(value, ours.get(key))
        ]
        recipe = str(cell.axis("recipe"))
        return [*said, *([f"recipe {recipe}, not {row.recipe}"] if row.recipe not in ("", recipe) else [])]

    @functools.cached_property
    def by_place(self) -> Mapping[tuple[str, ...], Published]:
        """The rows by attack, defense, dataset and metric."""
        return {row.place: row for row in self.rows}

    def is_of(self, row: Published, dataset: str) -> bool:
        """Return whether the row is for the published dataset of one of ours."""
        part = part_of(self.counts_as(dataset))
        return part.name == row.dataset.name and self._fits("dataset", row.dataset, part, part.stated)

    def datasets_trained_on(self, cells: Iterable[Cell]) -> list[str]:
        """Return the datasets in the parameters of our defenses, as in transfer experiments."""
        found = [
            name
            for cell in cells
            for key, value in part_of(str(cell.axis("defense"))).stated.items()
            if key in self._naming_datasets
            for name in value.split("+")
        ]
        return list(dict.fromkeys(found))

    @functools.cached_property
    def _by_names(self) -> dict[tuple[str, ...], list[Published]]:
        found: dict[tuple[str, ...], list[Published]] = defaultdict(list)
        for row in self.rows:
            found[tuple(row.part(axis).name for axis in MATCHED)].append(row)
        return found

    @functools.cached_property
    def _varied(self) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in self.rows:
            for axis in MATCHED:
                found[axis, row.part(axis).name] |= row.part(axis).stated.keys()
        return found

    @functools.cached_property
    def _naming_datasets(self) -> set[str]:
        """The parameters of defenses whose published values are all datasets of the file, possibly joined by ``+``."""
        values: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            for key, value in row.defense.stated.items():
                values[key] |= set(value.split("+"))
        return {key for key, found in values.items() if found <= self._names("dataset")}

    def _names(self, axis: str) -> set[str]:
        return {row.part(axis).name for row in self.rows}

    def _ours(self, axis: str, cell: Cell) -> tuple[Part, Mapping[str, str]]:
        """Return our component on an axis in the names of the file, with all its known parameters."""
        if axis == "dataset":
            part = part_of(self.counts_as(str(cell.axis(axis))))
            return part, part.stated
        part = part_of(getattr(cell.records[0], axis))  # without the population that a cell may append
        every = _params(cell, axis) | dict(part.stated)
        return part, {key: self._translated(axis, key, value) for key, value in every.items()}

    def _translated(self, axis: str, key: str, value: str) -> str:
        if axis != "defense" or key not in self._naming_datasets or not value:
            return value
        return "+".join(self.counts_as(name) for name in value.split("+"))

    def _fits(self, axis: str, row: Part, ours: Part, every: Mapping[str, str]) -> bool:
        stated = all(same(value, every.get(key)) for key, value in row.stated.items())
        return stated and not (self._varied[axis, row.name] - row.stated.keys()) & ours.stated.keys()


def _params(cell: Cell, axis: str) -> dict[str, str]:
    info: dict[str, Any] = getattr(cell.records[0], f"{axis}_info")
    params = info.get("params")
    found: dict[str, Value] = params if isinstance(params, dict) else {}
    return {str(key): text(value) for key, value in found.items()}
