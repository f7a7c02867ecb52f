"""From two runs to tables of the cells whose numbers differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from benchkit.records.metric import Metric
from benchkit.report.cells import Cell, known_in, seeds_of, titles
from benchkit.report.runs.pairs import EXACT, CellPair, RunComparison, minus, verdict
from benchkit.report.summaries import Summary
from benchkit.report.tables.document import ABSENT, GLYPHS, MEANING, MISSING, Entry, Head, Report, Table
from benchkit.report.tables.notes import faults, seeds_line
from benchkit.report.tables.ranks import COSTS

HEADS = ("metric", "A", "B", "B - A", "for the defender", "seeds")
_NAMED = 6


def changes(runs: RunComparison, only: str | None = None) -> Report:
    """Return a report of the cells that differ: means over common seeds, then single seeds if there are several."""
    twins = runs.differing(only)
    tables = [
        table
        for place, group in groupby(twins, key=lambda twin: [twin.a.axis(axis) for axis in ("dataset", "model")])
        for table in _tables(f"dataset {place[0]}, model {place[1]}", list(group), only)
    ]
    names = dict.fromkeys(name for twin in twins for name in twin.shown(only))
    cells = [cell for twin in runs.twins for cell in (twin.a, twin.b)]
    entries = {entry.text for table in tables for _, row in table.rows for entry in row}
    meaning = MEANING | {MISSING: "no two numbers to compare"}
    signs = ", ".join(f"{sign} {meaning[sign]}" for sign in (*GLYPHS.values(), ABSENT, MISSING) if sign in entries)
    most = seeds_of(cells)
    known = [known_in(cells, name) for name in names]
    legend = (*(one.legend() for one in known), *_difference(known, most), signs, seeds_line(most))
    notes = (
        ("Runs", (*_counts(runs, twins, only), *_absent(runs, only))),
        ("Differences in their settings", _made(runs)),
        ("Legend", tuple(line for line in legend if line) if twins else ()),
        ("Only in A", _listed(runs.alone[0])),
        ("Only in B", _listed(runs.alone[1])),
        ("Failed, timed out or skipped in A", faults(twin.a for twin in twins)),
        ("Failed, timed out or skipped in B", faults(twin.b for twin in twins)),
    )
    return Report(tuple(tables), tuple((heading, lines) for heading, lines in notes if lines))


def _tables(where: str, twins: Sequence[CellPair], only: str | None) -> Iterator[Table]:
    heads = tuple(map(Head, HEADS))
    rows = tuple(row for twin in twins for row in _mean_rows(twin, only))
    yield Table(f"A / B: {where}", "attack x defense", heads, rows)
    several = [twin for twin in twins if len(twin.seeds) > 1]
    rows = tuple(row for twin in several for row in _seed_rows(twin, only))
    if rows:
        # One seed gives no interval, so there is no verdict.
        yield Table(f"A / B, seed by seed: {where}", "attack x defense", (*heads[:-2], Head("seed")), rows)


def _mean_rows(twin: CellPair, only: str | None) -> Iterator[tuple[Head, tuple[Entry, ...]]]:
    for name in twin.shown(only) or [""]:
        a, b, difference = twin.summaries(name)
        texts = (
            _summary(twin.a, a, name),
            _summary(twin.b, b, name),
            _signed(twin.known(name), difference) if difference else MISSING,
            verdict(twin.known(name), difference),
        )
        count = (difference or a or b or Summary(0, None, 0)).n
        yield _row(twin.a, name, texts, str(count or len(twin.seeds)))


def _seed_rows(twin: CellPair, only: str | None) -> Iterator[tuple[Head, tuple[Entry, ...]]]:
    for name in twin.changed(twin.shown(only)):
        for seed, (a, b) in twin.values(name).items():
            show = [MISSING if value is None else twin.known(name).text(value) for value in (a, b)]
            difference = minus(b, a)
            signed = MISSING if difference is None else _signed(twin.known(name), Summary(difference, None, 1))
            yield _row(twin.a, name, (*show, signed), str(seed))


def _row(cell: Cell, name: str, texts: Sequence[str], last: str) -> tuple[Head, tuple[Entry, ...]]:
    title = cell.known(name).title if name else MISSING
    return Head(_where(cell)), tuple(map(Entry, (title, *texts, last)))


def _where(cell: Cell) -> str:
    return f"{cell.label('attack')} x {cell.axis('defense')}"


def _summary(cell: Cell, found: Summary | None, name: str) -> str:
    if found is None:
        return GLYPHS.get(cell.status, ABSENT)
    known = cell.known(name)
    return known.text(found.mean) if found.ci95 is None else f"{known.text(found.mean)} ± {known.half(found.ci95)}"


def _signed(known: Metric, difference: Summary) -> str:
    """Return a difference with its sign, and half its interval if it has one."""
    sign = "" if abs(difference.mean) <= EXACT else "-" if difference.mean < 0 else "+"
    half = "" if difference.ci95 is None else f" ± {known.half(difference.ci95)}"
    return f"{sign}{known.text(abs(difference.mean))}{half}"


def _difference(known: Iterable[Metric], most: int) -> tuple[str, str]:
    points = ", in percentage points" if all(one.percent for one in known) else ""
    interval = ", with the 95 % t-interval of those differences" if most >= 3 else ""
    first = f"B - A{points}: mean of the differences for each common seed{interval}, rounded last"
    if most < 3:
        return first, "for the defender: no verdict, since a difference has no interval below three seeds"
    return first, (
        "for the defender: better or worse if the interval of the difference excludes 0, unclear if it contains 0; "
        "no verdict below three seeds"
    )


def _counts(runs: RunComparison, twins: Sequence[CellPair], only: str | None) -> tuple[str, ...]:
    said = f"{_cells(len(runs.twins))} in both; {_differing(len(twins))}"
    shown = {id(twin) for twin in twins}
    others = Counter(
        name
        for twin in runs.twins
        if only is None and id(twin) not in shown
        for name in twin.changed(name for name in twin.metrics() if name not in COSTS)
    )
    more = [f"not shown, but different: {_by_metric(runs, others)}"] if others else []
    return (f"A: {runs.names[0]}", f"B: {runs.names[1]}", said, *more)


def _differing(count: int) -> str:
    return {0: "none of them differs", 1: "one of them differs and is shown"}.get(
        count, f"{count} of them differ and are shown"
    )


def _absent(runs: RunComparison, only: str | None) -> Iterator[str]:
    """Return notes on metrics that one run lacks, in common cells."""
    for side, letter in enumerate("AB"):
        lacking = Counter(
            name
            for twin in runs.twins
            for name in twin.metrics()
            if only in (None, name) and name not in COSTS and twin.lacks(side, name)
        )
        if lacking:
            yield f"absent in {letter}: {_by_metric(runs, lacking)}"


def _by_metric(runs: RunComparison, counts: Mapping[str, int]) -> str:
    cells = [cell for twin in runs.twins for cell in (twin.a, twin.b)]
    return ", ".join(f"{titles(cells, [name])} in {_cells(count)}" for name, count in counts.items())


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _made(runs: RunComparison) -> tuple[str, ...]:
    """Return each difference once, with the cells that have it."""
    met: dict[str, list[str]] = defaultdict(list)
    for twin in runs.twins:
        for line in twin.settings():
            met[line].append(_where(twin.a))
    lines = (f"{line} ({_some(where, len(runs.twins))})" for line, where in met.items())
    return tuple(lines) or ("none in the records",)


def _some(where: Sequence[str], of: int) -> str:
    names = list(dict.fromkeys(where))
    if len(where) == of:
        return "every cell" if of > 1 else names[0]
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _listed(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return a short list of cells, grouped by setting."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        where = f"dataset {cell.axis('dataset')}, model {cell.axis('model')}"
        seeds = ", ".join(str(record.seed) for record in cell.records)
        found[where].append(f"{_where(cell)} (seed {seeds})")
    return tuple(f"{where}: {_some(names, 0)}" for where, names in found.items())
