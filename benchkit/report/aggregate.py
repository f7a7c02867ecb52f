"""Records -> cells: the seeds of one attack against one defense, brought together and put in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from benchkit.metrics import HEADLINE, METRICS, Summary, summarize
from benchkit.report.load import Record, newest

AXES = ("attack", "defense", "dataset", "model", "recipe", "poison_rate")
_KINDS = list(HEADLINE)


@dataclass(frozen=True)
class Cell:
    """All seeds of one cell, one record each, by seed."""

    records: tuple[Record, ...]
    kind: str
    benign: bool
    clean_label: bool

    def axis(self, name: str) -> str | float | None:
        """Return the cell's value on one of ``AXES``."""
        value: str | float | None = getattr(self.records[0], name)
        return value

    @property
    def baseline(self) -> bool:
        """True in the column that defends nothing."""
        return self.kind == "baseline" or self.axis("defense") == "none"

    @property
    def ok(self) -> list[Record]:
        """The records that carry results; only these are averaged."""
        return [record for record in self.records if record.status == "ok"]

    @property
    def status(self) -> str:
        """``ok`` when every seed is, else what went wrong, the worst first."""
        found = {record.status for record in self.records}
        return next(status for status in ("failed", "timeout", "skipped", "ok") if status in found)

    def metrics(self) -> list[str]:
        """Return the names of the metrics that at least one seed has, the known ones first."""
        found = {name for record in self.ok for name in record.metrics}
        return [name for name in METRICS if name in found] + sorted(found - METRICS.keys())

    def summary(self, name: str) -> Summary | None:
        """Return a metric over the seeds that have it, or None where none has."""
        values = [record.metrics[name] for record in self.ok if name in record.metrics]
        return summarize(values) if values else None

    def warnings(self) -> set[str]:
        """Return what the records of this cell warn of."""
        return {text for record in self.records for text in record.warnings}

    def label(self, axis: str) -> str:
        """Return the cell's value on an axis as tables write it."""
        value = self.axis(axis)
        if axis == "poison_rate":
            return "unknown" if value is None else f"{100 * float(value):g} %"
        if axis == "attack" and self.benign:
            return f"{value} (benign)"
        return f"{value} (clean-label)" if axis == "attack" and self.clean_label else str(value)

    def place(self, axis: str) -> tuple[bool | int | float, str]:
        """Sort along an axis: benign and baseline first, defenses by kind, the rest by name or size."""
        value = self.axis(axis)
        if axis == "poison_rate":
            return (-1.0 if value is None else float(value), "")
        if axis == "attack":
            return (not self.benign, str(value))
        if axis == "defense" and not self.baseline:
            return (1 + _KINDS.index(self.kind) if self.kind in _KINDS else 99, str(value))
        return (0, str(value))


def cells_of(records: Iterable[Record]) -> list[Cell]:
    """Group records by everything but the seed, the newest of each, sorted whatever order they came in."""
    latest, groups = newest(records), defaultdict(list)
    for record in latest:
        groups[record.identity[:-1]].append(record)
    kinds = dict(sorted({(r.defense, str(r.defense_info["kind"])) for r in latest if r.defense_info.get("kind")}))
    benign = {r.attack for r in latest if r.attack_info.get("benign") is True}
    clean_label = {r.attack for r in latest if r.attack_info.get("label_policy") == "clean"}
    cells = [
        Cell(
            tuple(sorted(group, key=lambda record: record.seed)),
            kinds.get(group[0].defense, ""),
            group[0].attack in benign,
            group[0].attack in clean_label,
        )
        for group in groups.values()
    ]
    return sorted(cells, key=lambda cell: [cell.place(axis) for axis in AXES])


def seeds_of(cells: Iterable[Cell]) -> int:
    """Return the largest number of seeds any cell has: a cell with fewer results says so."""
    return max(len(cell.records) for cell in cells)


def varying(cells: Iterable[Cell]) -> list[str]:
    """Return the axes on which the cells differ."""
    cells = list(cells)
    return [axis for axis in AXES if len({cell.axis(axis) for cell in cells}) > 1]
