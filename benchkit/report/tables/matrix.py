"""From cells to the matrix: one table of attacks against defenses, or of any other two axes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from benchkit.errors import NothingToRun
from benchkit.records.metrics import headline
from benchkit.report.cells import AXES, Cell, seeds_of, titles
from benchkit.report.leading import OF_THE_MODEL, judged, leaders
from benchkit.report.rows import Row
from benchkit.report.tables.document import ABSENT, GLYPHS, MISSING, Entry, Head, Report, Table
from benchkit.report.tables.notes import captioned, notes_of

SAID = {"attack": Row.about, "poison_rate": Row.short}
"""What heads add to the values of an axis."""


@dataclass(frozen=True)
class Axes:
    """The two axes of each table, and the metric in all cells (None: the headline of each defense kind)."""

    rows: str = "attack"
    cols: str = "defense"
    metric: str | None = None

    def split(self) -> list[str]:
        """Return the axes that are neither rows nor columns; there is one table per combination of their values."""
        return [axis for axis in AXES if axis not in (self.rows, self.cols)]

    def usual(self, cell: Cell) -> tuple[str, ...]:
        """Return the metrics in the head of the cell's defense."""
        return (self.metric,) if self.metric else headline(cell.kind, benign=False)

    def shown(self, cell: Cell) -> tuple[str, ...]:
        """Return the metrics of the cell; a model detector without a population shows its score."""
        names = (self.metric,) if self.metric else headline(cell.kind, cell.benign)
        found = cell.metrics()
        bare = not self.metric and "score" in found and not set(names) & set(found)
        return ("score",) if bare else names

    def judged(self, cell: Cell) -> str:
        """Return the metric by which cells are compared."""
        return self.metric or judged(cell)


def matrix(cells: list[Cell], view: Axes) -> Report:
    """Return a report with tables of cells and their notes; ``cells`` come from ``cells_of``.

    Raises:
        NothingToRun: if no cell has the requested metric.
    """
    most = seeds_of(cells)
    groups = [measured for group in groups_of(cells, view) if (measured := _measured(group, view))]
    if not groups:
        raise NothingToRun(f"no cell has a number for {titles(cells, [str(view.metric)])}: ask for another metric")
    tables = tuple(_table(group, view, most) for group in groups)
    entries = [entry for table in tables for _, row in table.rows for entry in row]
    shown = {id(cell): cell for group in groups for cell in group}
    kept = [cell for cell in cells if id(cell) in shown]
    names = {name: None for cell in kept if cell.ok for name in view.shown(cell)}
    best = {number for group in groups for number in best_of(group, view)}
    by = {view.judged(cell): None for cell in kept if id(cell) in best}
    told = captioned(names, entries, most)
    tables = tuple(replace(table, told=told) for table in tables)
    return Report(tables, notes_of(kept, [*dict.fromkeys([*names, *by])], entries, most, list(by)))


def _measured(cells: list[Cell], view: Axes) -> list[Cell]:
    """Omit rows and columns of a table that cannot have the requested metric."""
    if view.metric is None:
        return cells
    having = [cell for cell in cells if not cell.ok or cell.summary(view.metric)]
    rows, cols = ({cell.axis(axis) for cell in having} for axis in (view.rows, view.cols))
    return [cell for cell in cells if cell.axis(view.rows) in rows and cell.axis(view.cols) in cols]


def groups_of(cells: list[Cell], view: Axes) -> list[list[Cell]]:
    """Return the cells of each table of a view; a benign cell may be in several."""
    groups: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[tuple(cell.axis(axis) for axis in view.split())].append(cell)
    if "poison_rate" in view.split() and "attack" not in view.split():
        groups = _lend_benign(groups, view)
    return sorted(groups.values(), key=lambda group: [group[0].place(axis) for axis in view.split()])


def _lend_benign(groups: dict[tuple[object, ...], list[Cell]], view: Axes) -> dict[tuple[object, ...], list[Cell]]:
    """Add the benign cells of other tables to each table: without poison, the poison rate has no effect."""
    rate = view.split().index("poison_rate")
    kept = {at: group for at, group in groups.items() if not all(cell.benign for cell in group)}
    attacked = list(kept)
    for at, group in groups.items():
        hosts = [host for host in attacked if _without(host, rate) == _without(at, rate)]
        kept |= {host: _with_guests(kept[host], group, view) for host in hosts if host != at}
        kept |= {} if hosts else {at: group}
    return kept


def _with_guests(group: list[Cell], others: list[Cell], view: Axes) -> list[Cell]:
    here = {(cell.axis(view.rows), cell.axis(view.cols)) for cell in group}
    return group + [cell for cell in others if cell.benign and (cell.axis(view.rows), cell.axis(view.cols)) not in here]


def _without(values: tuple[object, ...], index: int) -> tuple[object, ...]:
    return values[:index] + values[index + 1 :]


def _table(cells: list[Cell], view: Axes, most: int) -> Table:
    rows, columns = _heads(cells, view.rows, view), _heads(cells, view.cols, view)
    grid: dict[object, Cell] = {(cell.axis(view.rows), cell.axis(view.cols)): cell for cell in cells}
    best = best_of(cells, view)
    body = tuple(
        (head, tuple(_entry(grid.get((row, column)), view, best, most) for column in columns))
        for row, head in rows.items()
    )
    return Table(_title(cells, view), view.rows.replace("_", " "), tuple(columns.values()), body)


def _heads(cells: list[Cell], axis: str, view: Axes) -> dict[object, Head]:
    found: dict[object, list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell.place(axis)):
        found[cell.axis(axis)].append(cell)
    return {value: _head(those, axis, view) for value, those in found.items()}


def _head(cells: list[Cell], axis: str, view: Axes) -> Head:
    """Return the head of these cells on an axis, with what is said of all their rows: of attacks and poison rates."""
    label, said = cells[0].label(axis), {SAID[axis](cell.row) for cell in cells} if axis in SAID else set()
    if len(said) == 1 and said != {""}:
        label = f"{label} ({said.pop()})"
    announced = axis == "defense" and view.metric is None
    return Head(label, titles(cells, view.usual(cells[0])) if announced else "")


def _title(cells: list[Cell], view: Axes) -> str:
    # An attacked cell names the table; benign ones may come from another poison rate.
    hosts = [cell for cell in cells if not cell.benign] or cells[:1]
    heads = {axis: _head(hosts if axis == "poison_rate" else hosts[:1], axis, view) for axis in view.split()}
    parts = [f"{axis.replace('_', ' ')} {head.line()}" for axis, head in heads.items()]
    return ", ".join([titles(cells, [view.metric]), *parts] if view.metric else parts)


def _entry(cell: Cell | None, view: Axes, best: set[int], most: int) -> Entry:
    if cell is None:
        return Entry(MISSING)
    if not cell.ok:
        return Entry(GLYPHS[cell.status])
    names = view.shown(cell)
    summaries = [cell.summary(name) for name in names]
    text = " / ".join(number(cell, name) for name in names)
    count = min((summary.n for summary in summaries if summary), default=most)
    prefix = "" if names == view.usual(cell) or not any(summaries) else f"{titles([cell], names)} "
    few = count if count < most else None
    return Entry(f"{prefix}{text}", id(cell) in best, few, tuple(sorted(cell.warnings())))


def number(cell: Cell, name: str) -> str:
    """Return a metric as written in tables: the mean and, from three seeds on, half its 95 % interval.

    With one seed, it has the interval over its models, if there is one.
    """
    summary, known = cell.summary(name), cell.known(name)
    if summary is None:
        return ABSENT
    if summary.ci95 is not None:
        return f"{known.text(summary.mean)} ± {known.half(summary.ci95)}"
    ends = cell.ends(name)
    return f"{known.text(summary.mean)} [{', '.join(map(known.text, ends))}]" if ends else known.text(summary.mean)


def best_of(cells: list[Cell], view: Axes) -> set[int]:
    """Return the ids of the best defenses against each attack, among those that can be compared."""
    if "defense" in view.split():
        return set()
    other = view.cols if view.rows == "defense" else view.rows
    rivals: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        name = view.judged(cell)
        by_chance = cell.paired and cell.known(name).percent
        if not cell.benign and not cell.baseline and not by_chance and cell.summary(name):
            # Predictions of defended models can be compared across kinds. Detection of inputs, images or models cannot,
            # and neither can populations of different sizes.
            alike = ("",) if name in OF_THE_MODEL else (cell.kind, cell.population)
            rivals[cell.axis(other), name, alike].append(cell)
    return {id(cell) for (_, name, _), group in rivals.items() for cell in leaders(group, str(name))}
