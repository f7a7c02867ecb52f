"""From records to cells: the seeds of one attack against one defense, grouped and sorted."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchkit.errors import SpecError, did_you_mean
from benchkit.records.declared import declared_in
from benchkit.records.metric import Metric
from benchkit.records.metrics import HEADLINE, METRICS, metric
from benchkit.records.record import Record
from benchkit.report.alike import also_benign
from benchkit.report.load import newest
from benchkit.report.rows import Row, is_benign, place_of, rows_of
from benchkit.report.summaries import Summary, summarize
from benchkit.text import printable

AXES = ("attack", "defense", "dataset", "model", "recipe", "poison_rate")
_KINDS = list(HEADLINE)


@dataclass(frozen=True)
class Cell:
    """All seeds of one cell, one record each, by seed, and the facts about its row.

    ``sized`` is true if its defense judged several populations; ``doubts`` are warnings that other cells give rise to.
    """

    records: tuple[Record, ...]
    kind: str
    benign: bool
    clean_label: bool
    sized: bool = False
    row: Row = field(default_factory=Row)
    doubts: frozenset[str] = frozenset()

    def axis(self, name: str) -> str | float | None:
        """Return the cell's value on one of ``AXES``; a defense that judged several populations is named with one."""
        value: str | float | None = getattr(self.records[0], name)
        return f"{value} (population {self.population})" if name == "defense" and self.sized else value

    @property
    def population(self) -> int:
        """The number of models of each kind per seed, as in ``Record``."""
        return self.records[0].population

    @property
    def paired(self) -> bool:
        """True if each seed judged one model of each kind: such shares are weak evidence, and have no useful spread."""
        return self.population == 1

    @property
    def baseline(self) -> bool:
        """True for the undefended column."""
        return self.kind == "baseline" or self.axis("defense") == "none"

    @property
    def ok(self) -> list[Record]:
        """The records with results; only these are averaged."""
        return [record for record in self.records if record.status == "ok"]

    @property
    def status(self) -> str:
        """``ok`` if every seed is ok, otherwise the other statuses, worst first."""
        found = {record.status for record in self.records}
        return next(status for status in ("failed", "timeout", "skipped", "ok") if status in found)

    @functools.cached_property
    def declared(self) -> dict[str, Metric]:
        """What its records declare of the metrics of plugins, by name."""
        return {name: one for record in reversed(self.ok) for name, one in declared_in(record.declared).items()}

    def known(self, name: str) -> Metric:
        """Return what the cell knows of a metric."""
        return metric(name, self.declared)

    def metrics(self) -> list[str]:
        """Return the names of the metrics that at least one seed has, the known ones first."""
        found = {name for record in self.ok for name in record.metrics}
        return [name for name in METRICS if name in found] + sorted(found - METRICS.keys())

    def summary(self, name: str) -> Summary | None:
        """Return the summary of a metric over the seeds that have it, or None."""
        if name not in self._summaries:
            self._summaries[name] = self._summarized(name)
        return self._summaries[name]

    @functools.cached_property
    def _summaries(self) -> dict[str, Summary | None]:
        """What was summarized before: tables, ranks and leads ask for the same numbers."""
        return {}

    def _summarized(self, name: str) -> Summary | None:
        values = [record.metrics[name] for record in self.ok if name in record.metrics]
        if not values:
            return None
        found = summarize(values)
        return replace(found, ci95=None) if self.paired and self.known(name).percent else found

    def ends(self, name: str) -> tuple[float, float] | None:
        """Return the interval of a metric over the judged models, if there is only one seed."""
        known, found = self.known(name), [record.metrics for record in self.ok if name in record.metrics]
        if not known.ends or len(found) != 1 or not found[0].keys() >= set(known.ends):
            return None
        low, high = (found[0][end] for end in known.ends)
        return low, high

    def unlike(self) -> str:
        """Return the differences between the averaged records, except the seed; normally none."""
        if len(self.ok) < 2:
            return ""
        told = [_told(record) for record in self.ok]
        values = {
            name: {one.get(name, "not recorded") for one in told}
            for name in sorted({name for one in told for name in one})
        }
        apart = [f"{name} ({', '.join(sorted(found))})" for name, found in values.items() if len(found) > 1]
        return f"seeds differ in {'; '.join(apart)}" if apart else ""

    def warnings(self) -> set[str]:
        """Return the warnings of the cell's records, of its whole row, of its average, and by other cells."""
        return set(self._warned)

    @functools.cached_property
    def _warned(self) -> frozenset[str]:
        own = {text for record in self.records for text in record.warnings}
        return frozenset(own | self.row.doubts | self.doubts | ({self.unlike()} - {""}))

    def label(self, axis: str) -> str:
        """Return the cell's value on an axis, as written in tables."""
        value = self.axis(axis)
        if axis == "poison_rate":
            return "unknown" if value is None else f"{100 * float(value):g} %"
        if axis == "attack" and self.benign:
            return f"{value} (benign)"
        return f"{value} (clean-label)" if axis == "attack" and self.clean_label else str(value)

    def place(self, axis: str) -> tuple[bool | int | float, str]:
        """Return the sort key on an axis: benign and baseline first, defenses by kind, others by name or size."""
        value = self.axis(axis)
        if axis == "poison_rate":
            return (-1.0 if value is None else float(value), "")
        if axis == "attack":
            return (not self.benign, str(value))
        if axis == "defense" and not self.baseline:
            size = f" {self.population:9}" if self.sized else ""
            return (1 + _KINDS.index(self.kind) if self.kind in _KINDS else 99, f"{self.records[0].defense}{size}")
        return (0, str(value))


def _told(record: Record) -> dict[str, str]:
    """Return what a record states about its components and benchkit, as text."""
    found = {"benchkit": record.versions.get("benchkit", "not recorded")}
    for role, info in (("attack", record.attack_info), ("defense", record.defense_info)):
        found |= {f"{role} {name}": value for name, value in flat(info).items() if name != "paper"}
    return found


def flat(info: Mapping[str, Any]) -> dict[str, str]:
    """Return what a record states about a component, including its parameters, as text."""
    params = info.get("params")
    told = {**info, **(params if isinstance(params, dict) else {})}
    return {printable(str(key)): printable(str(value)) for key, value in told.items() if key != "params"}


def suspects(record: Record) -> list[str]:
    """Return the classes that a defense suspects in a record, in words, each with its name."""
    models = f" of {record.population} models" if record.population > 1 else ""
    each = ((one, f", for {one['models']}{models}" if models else "") for one in record.suspected)
    return [f"{one['number']} ({one['name']}){many}" for one, many in each]


def cells_of(records: Iterable[Record]) -> list[Cell]:
    """Group the newest records by everything except the seed, sorted, whatever the order of the input."""
    latest, groups = newest(records), defaultdict(list)
    for record in latest:
        groups[record.identity[:-1]].append(record)
    kinds = dict(sorted({(r.defense, str(r.defense_info["kind"])) for r in latest if r.defense_info.get("kind")}))
    benign = {r.attack for r in latest if is_benign(r)}
    clean_label = {r.attack for r in latest if r.attack_info.get("label_policy") == "clean"}
    rows, alike = rows_of(latest), also_benign(latest)
    sizes = Counter(defense for defense, _ in {(r.defense, r.population) for r in latest})
    cells = [
        Cell(
            tuple(sorted(group, key=lambda record: record.seed)),
            kinds.get(group[0].defense, ""),
            group[0].attack in benign,
            group[0].attack in clean_label,
            sizes[group[0].defense] > 1,
            rows[place_of(group[0])],
            frozenset(alike[record.identity] for record in group if record.identity in alike),
        )
        for group in groups.values()
    ]
    return sorted(cells, key=lambda cell: [cell.place(axis) for axis in AXES])


def seeds_of(cells: Iterable[Cell]) -> int:
    """Return the largest number of seeds of any cell; cells with fewer show their number."""
    return max(len(cell.records) for cell in cells)


def known_in(cells: Iterable[Cell], name: str) -> Metric:
    """Return what these cells know of a metric: the first that declares it counts."""
    return next((cell.known(name) for cell in cells if name in cell.declared), metric(name))


def titles(cells: Iterable[Cell], names: Iterable[str]) -> str:
    """Return the titles of metrics that stand in one entry, such as ``C-Acc / ASR``."""
    cells = list(cells)
    return " / ".join(known_in(cells, name).title for name in names)


def known_metric(asked: str | None, cells: Iterable[Cell]) -> str | None:
    """Return a metric, however it was written, as these cells call it; None stays None.

    Raises:
        SpecError: when benchkit knows no such metric and no cell has it.
    """
    if asked is None:
        return None
    name = asked.lower().replace("-", "_")
    known = dict.fromkeys([*METRICS, *(found for cell in cells for found in cell.metrics())])
    if name not in known and asked not in known:
        hint = did_you_mean(name, known)
        raise SpecError(f"there is no metric '{asked}'{hint}; there are {', '.join(known)}")
    return name if name in known else asked


def varying(cells: Iterable[Cell]) -> list[str]:
    """Return the axes on which the cells differ."""
    cells = list(cells)
    return [axis for axis in AXES if len({cell.axis(axis) for cell in cells}) > 1]
