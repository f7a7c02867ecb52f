"""From two runs to pairs of common cells, and their differences: numbers and settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from benchkit.errors import NothingToRun
from benchkit.records.metric import Metric
from benchkit.records.metrics import METRICS
from benchkit.records.record import Record
from benchkit.report.cells import Cell, flat, known_in
from benchkit.report.summaries import Summary, summarize
from benchkit.report.tables.matrix import Axes

KEY = ("dataset", "model", "attack", "defense")
FREE = ("poison_rate", "recipe")
"""The axes that may differ between two compared cells, if there is no closer pair."""
UNSAID = "not recorded"
EXACT = 1e-9
"""Differences below this are rounding."""


@dataclass(frozen=True)
class CellPair:
    """One cell in both runs, with the common seeds in the same order."""

    a: Cell
    b: Cell

    @property
    def seeds(self) -> list[int]:
        """Return the common seeds."""
        return [record.seed for record in self.a.records]

    def values(self, name: str) -> dict[int, tuple[float | None, float | None]]:
        """Return a metric for each seed, in A and in B, if at least one has it."""
        both = zip(self.a.records, self.b.records, strict=True)
        found = {a.seed: (_value(a, name), _value(b, name)) for a, b in both}
        return {seed: pair for seed, pair in found.items() if pair != (None, None)}

    def summaries(self, name: str) -> tuple[Summary | None, Summary | None, Summary | None]:
        """Return a metric in A, in B, and B minus A: over common seeds with the metric, or else for each run alone."""
        pairs = list(self.values(name).values())
        whole = [(a, b) for a, b in pairs if a is not None and b is not None]
        if whole:
            found = [summarize(row) for row in zip(*((x, y, y - x) for x, y in whole), strict=True)]
            if self.known(name).percent and (self.a.paired or self.b.paired):
                found = [replace(one, ci95=None) for one in found]  # a share of one model per kind has no spread
            a, b, difference = found
            unlike = self.known(name).percent and self.a.population != self.b.population  # the models differ
            return a, b, None if unlike else difference
        ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
        return _summary(ours), _summary(theirs), None

    def known(self, name: str) -> Metric:
        """Return what the two know of a metric."""
        return known_in((self.a, self.b), name)

    def metrics(self) -> list[str]:
        """Return the names of all metrics of either, the known ones first."""
        found = {*self.a.metrics(), *self.b.metrics()}
        return [name for name in METRICS if name in found] + sorted(found - METRICS.keys())

    def shown(self, only: str | None) -> list[str]:
        """Return the metrics of the cell in tables: those of its kind, or the requested one."""
        view = Axes(metric=only)
        return [name for name in dict.fromkeys([*view.shown(self.a), *view.shown(self.b)]) if self.values(name)]

    def lacks(self, side: int, name: str) -> bool:
        """Return whether only the other side (0: A, 1: B) has a metric, though this one has results."""
        pairs = self.values(name).values()
        return bool(pairs) and bool((self.a, self.b)[side].ok) and all(pair[side] is None for pair in pairs)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Return which of these metrics differ for at least one seed; one that a side lacks does not differ."""
        both = [name for name in names if not (self.lacks(0, name) or self.lacks(1, name))]
        return [name for name in both if any(_apart(*pair) for pair in self.values(name).values())]

    def broken(self) -> bool:
        """Return whether the status of a seed differs between A and B, for example failed in one of them."""
        return [record.status for record in self.a.records] != [record.status for record in self.b.records]

    def settings(self) -> list[str]:
        """Return the differences in the settings of the two, such as ``recipe: fast -> standard``, each once."""
        both = zip(self.a.records, self.b.records, strict=True)
        return list(dict.fromkeys(line for a, b in both for line in _settings(a, b)))


@dataclass(frozen=True)
class RunComparison:
    """The comparison of two runs; ``alone`` are the cells and seeds in only A, and in only B."""

    names: tuple[str, str]
    twins: tuple[CellPair, ...]
    alone: tuple[tuple[Cell, ...], tuple[Cell, ...]]

    def differing(self, only: str | None) -> list[CellPair]:
        """Return the cells in tables."""
        return [twin for twin in self.twins if twin.broken() or twin.changed(twin.shown(only))]


def minus(b: float | None, a: float | None) -> float | None:
    """Return B minus A if both exist."""
    return None if a is None or b is None else b - a


def verdict(known: Metric, difference: Summary | None) -> str:
    """Return the meaning of a paired difference for the defender: ``better``, ``worse``, ``unclear`` or nothing.

    It is unclear if the 95 % interval of the per-seed differences contains 0. The result is empty if there is no
    interval (fewer than three seeds), if all differences are 0, or if the metric is neither good nor bad.
    """
    if difference is None or difference.ci95 is None or known.better == "neither":
        return ""
    if abs(difference.mean) + difference.ci95 <= EXACT:
        return ""
    if abs(difference.mean) <= max(difference.ci95, EXACT):
        return "unclear"
    return "better" if (difference.mean > 0) == (known.better == "higher") else "worse"


def twins_of(names: tuple[str, str], a: Sequence[Cell], b: Sequence[Cell]) -> RunComparison:
    """Pair the cells of two runs by dataset, model, attack and defense, and by seed.

    Cells with equal poison rate and recipe are paired first; of the others, cells may differ in the recipe, and after
    that in the poison rate, if each run has exactly one such cell.

    Raises:
        NothingToRun: if the runs have no cell and seed in common.
    """
    rest: tuple[list[Cell], list[Cell]] = (list(a), list(b))
    pairs: list[tuple[Cell, Cell]] = []
    for free in ((), ("population",), ("population", "recipe"), ("population", *FREE)):
        pairs += _paired(rest, [axis for axis in (*KEY, *FREE, "population") if axis not in free])
    twins: list[CellPair] = []
    for pair in pairs:
        seeds = set.intersection(*({record.seed for record in cell.records} for cell in pair))
        for cell, left in zip(pair, rest, strict=True):
            left.extend(_with(cell, {record.seed for record in cell.records} - seeds))
        twins += [CellPair(one, other) for one in _with(pair[0], seeds) for other in _with(pair[1], seeds)]
    if not twins:
        raise NothingToRun(f"{names[0]} and {names[1]} share no cell (dataset, model, attack, defense and seed)")
    left_a, left_b = (tuple(sorted(cells, key=_place)) for cells in rest)
    return RunComparison(names, tuple(sorted(twins, key=lambda twin: _place(twin.a))), (left_a, left_b))


def _paired(rest: tuple[list[Cell], list[Cell]], axes: Sequence[str]) -> list[tuple[Cell, Cell]]:
    """Remove from both lists the cells that are equal on these axes, if each list has exactly one, and yield them."""
    groups: dict[tuple[object, ...], tuple[list[Cell], list[Cell]]] = defaultdict(lambda: ([], []))
    for side, cells in enumerate(rest):
        for cell in cells:
            groups[tuple(getattr(cell.records[0], axis) for axis in axes)][side].append(cell)
    found = [(first[0], second[0]) for first, second in groups.values() if len(first) == len(second) == 1]
    taken = {id(cell) for pair in found for cell in pair}
    for cells in rest:
        cells[:] = [cell for cell in cells if id(cell) not in taken]
    return found


def _with(cell: Cell, seeds: AbstractSet[int]) -> list[Cell]:
    """Return the cell with only these seeds, or nothing if it has none of them."""
    records = tuple(record for record in cell.records if record.seed in seeds)
    return [replace(cell, records=records)] if records else []


def _place(cell: Cell) -> list[Any]:
    return [cell.place(axis) for axis in (*KEY, *FREE)]


def _value(record: Record, name: str) -> float | None:
    return record.metrics.get(name) if record.status == "ok" else None


def _summary(values: Iterable[float | None]) -> Summary | None:
    found = [value for value in values if value is not None]
    return summarize(found) if found else None


def _apart(a: float | None, b: float | None) -> bool:
    return a is None or b is None or abs(a - b) > EXACT


def _settings(a: Record, b: Record) -> list[str]:
    """Return the differences between two records other than results."""
    keyed, free = (_differences(one(a), one(b)) for one in (_keyed, lambda record: record.environment))
    # A key covers all inputs of a cell. If it differs but no recorded setting does, only this can be reported.
    unsaid = ["code or data: the keys of the two differ"] if a.key != b.key and not keyed else []
    return [*keyed, *unsaid, *free]


def _differences(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    both = ((name, a.get(name, UNSAID), b.get(name, UNSAID)) for name in dict.fromkeys([*a, *b]))
    return [f"{name}: {one} -> {other}" for name, one, other in both if one != other]


def _keyed(record: Record) -> dict[str, str]:
    """Return the settings of a record: recipe, poison rate, and those of attack and defense."""
    rate = "unknown" if record.poison_rate is None else f"{100 * record.poison_rate:g} %"
    found = {"recipe": record.recipe or UNSAID, "poison rate": rate}
    if record.population:
        found["models of each kind"] = str(record.population)
    for axis, info in (("attack", record.attack_info), ("defense", record.defense_info)):
        name = getattr(record, axis).partition(":")[0]
        found |= {f"{axis} {name}, {key}": value for key, value in flat(info).items()}
    return found
