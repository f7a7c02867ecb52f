"""Two runs -> tables of the cells whose numbers differ, and everything as csv and json."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from benchkit.metrics import Summary, metric
from benchkit.report.aggregate import Cell, seeds_of
from benchkit.report.layout import GLYPHS, MEANING, MISSING, Entry, Head, Report, Table
from benchkit.report.notes import faults, seeds_line
from benchkit.report.ranks import COSTS
from benchkit.report.runs import FREE, KEY, Runs, Twin, verdict

HEADS = ("metric", "A", "B", "B - A", "for the defender", "seeds")
_NAMED = 6


def changes(runs: Runs, only: str | None = None) -> Report:
    """Lay out the cells that differ: means over the seeds that both runs have, then seed by seed where several."""
    twins = runs.differing(only)
    tables = [
        table
        for place, group in groupby(twins, key=lambda twin: [twin.a.axis(axis) for axis in ("dataset", "model")])
        for table in _tables(f"dataset {place[0]}, model {place[1]}", list(group), only)
    ]
    names = dict.fromkeys(name for twin in twins for name in twin.shown(only))
    cells = [cell for twin in runs.twins for cell in (twin.a, twin.b)]
    entries = {entry.text for table in tables for _, row in table.rows for entry in row}
    signs = ", ".join(f"{sign} {MEANING[sign]}" for sign in GLYPHS.values() if sign in entries)
    legend = (*(metric(name).legend() for name in names), _difference(names), signs, seeds_line(seeds_of(cells)))
    notes = (
        ("Runs", _counts(runs, twins, only)),
        ("What differs in how they were made", _made(runs)),
        ("Legend", tuple(line for line in legend if line) if twins else ()),
        ("Only in A", _listed(runs.alone[0])),
        ("Only in B", _listed(runs.alone[1])),
        ("Failed, timed out or skipped in A", faults(twin.a for twin in twins)),
        ("Failed, timed out or skipped in B", faults(twin.b for twin in twins)),
    )
    return Report(tuple(tables), tuple((heading, lines) for heading, lines in notes if lines))


def _tables(where: str, twins: Sequence[Twin], only: str | None) -> Iterator[Table]:
    heads = tuple(map(Head, HEADS))
    rows = tuple(row for twin in twins for row in _mean_rows(twin, only))
    yield Table(f"A / B: {where}", "attack x defense", heads, rows)
    several = [twin for twin in twins if len(twin.seeds) > 1]
    rows = tuple(row for twin in several for row in _seed_rows(twin, only))
    if rows:
        yield Table(f"A / B, seed by seed: {where}", "attack x defense", (*heads[:-1], Head("seed")), rows)


def _mean_rows(twin: Twin, only: str | None) -> Iterator[tuple[Head, tuple[Entry, ...]]]:
    for name in twin.shown(only) or [""]:
        a, b, difference = twin.summaries(name)
        texts = (
            _summary(twin.a, a, name),
            _summary(twin.b, b, name),
            *_judged(name, difference.mean if difference else None),
        )
        count = (difference or a or b or Summary(0, None, 0)).n
        yield _row(twin.a, name, texts, str(count or len(twin.seeds)))


def _seed_rows(twin: Twin, only: str | None) -> Iterator[tuple[Head, tuple[Entry, ...]]]:
    for name in twin.changed(twin.shown(only)):
        for seed, (a, b) in twin.values(name).items():
            show = [MISSING if value is None else metric(name).text(value) for value in (a, b)]
            yield _row(twin.a, name, (*show, *_judged(name, _minus(b, a))), str(seed))


def _row(cell: Cell, name: str, texts: Sequence[str], last: str) -> tuple[Head, tuple[Entry, ...]]:
    title = metric(name).title if name else MISSING
    return Head(_where(cell)), tuple(map(Entry, (title, *texts, last)))


def _where(cell: Cell) -> str:
    return f"{cell.label('attack')} x {cell.axis('defense')}"


def _summary(cell: Cell, found: Summary | None, name: str) -> str:
    if found is None:
        return GLYPHS.get(cell.status, MISSING)
    show = metric(name).text
    return show(found.mean) if found.ci95 is None else f"{show(found.mean)} ± {show(found.ci95)}"


def _minus(b: float | None, a: float | None) -> float | None:
    return None if a is None or b is None else b - a


def _judged(name: str, difference: float | None) -> tuple[str, str]:
    """Write a difference with its sign, and whether it is good for the defender."""
    if difference is None:
        return MISSING, ""
    size = metric(name).text(abs(difference))
    signed = size if difference == 0 else f"{'-' if difference < 0 else '+'}{size}"
    return signed, verdict(name, difference)


def _difference(names: Iterable[str]) -> str:
    points = ", in percentage points" if all(metric(name).percent for name in names) else ""
    return f"B - A: mean over the seeds that both have{points}; better and worse are the defender's"


def _counts(runs: Runs, twins: Sequence[Twin], only: str | None) -> tuple[str, ...]:
    said = f"{len(runs.twins)} cells in both, {len(twins)} of them shown for what they differ in"
    shown = {id(twin) for twin in twins}
    others = Counter(
        name
        for twin in runs.twins
        if only is None and id(twin) not in shown
        for name in twin.changed(name for name in twin.metrics() if name not in COSTS)
    )
    more = ", ".join(f"{metric(name).title} in {count}" for name, count in others.items())
    return (f"A: {runs.names[0]}", f"B: {runs.names[1]}", said, *([f"other cells differ in {more}"] if more else []))


def _made(runs: Runs) -> tuple[str, ...]:
    """Return each difference once, with the cells that have it."""
    met: dict[str, list[str]] = defaultdict(list)
    for twin in runs.twins:
        for line in twin.settings():
            met[line].append(_where(twin.a))
    lines = (f"{line} ({_some(where, len(runs.twins))})" for line, where in met.items())
    return tuple(lines) or ("nothing that the records tell",)


def _some(where: Sequence[str], of: int) -> str:
    names = list(dict.fromkeys(where))
    if len(where) == of:
        return "every cell" if of > 1 else names[0]
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _listed(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return cells by where they were run, shortly."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        where = f"dataset {cell.axis('dataset')}, model {cell.axis('model')}"
        seeds = ", ".join(str(record.seed) for record in cell.records)
        found[where].append(f"{_where(cell)} (seed {seeds})")
    return tuple(f"{where}: {_some(names, 0)}" for where, names in found.items())


COLUMNS = (
    *KEY, *(f"{axis}_{side}" for axis in FREE for side in "ab"), "seed", "metric", "a", "b", "difference",
    "for_the_defender", "status_a", "status_b",
)  # fmt: skip


def changes_to_csv(runs: Runs, only: str | None = None) -> str:
    """Write one row per cell, seed and metric, whether it differs or not, also of what only one run has."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for twin in runs.twins:
        for name in _names(twin.metrics(), only) or [""]:
            for number, seed in enumerate(twin.seeds):
                values = twin.values(name).get(seed, (None, None))
                statuses = [cell.records[number].status for cell in (twin.a, twin.b)]
                writer.writerow((*_axes(twin.a, twin.b), seed, name, *values, *_beside(name, *values), *statuses))
    for side, cells in enumerate(runs.alone):
        for cell in cells:
            writer.writerows(_alone_rows(cell, side, only))
    return out.getvalue()


def _names(names: Iterable[str], only: str | None) -> list[str]:
    return [name for name in names if only in (None, name)]


def _beside(name: str, a: float | None, b: float | None) -> tuple[float | None, str]:
    return _minus(b, a), verdict(name, _minus(b, a))


def _axes(a: Cell | None, b: Cell | None) -> list[object]:
    one = a or b
    same = [one.axis(axis) for axis in KEY] if one else []
    return [*same, *(cell.axis(axis) if cell else None for axis in FREE for cell in (a, b))]


def _alone_rows(cell: Cell, side: int, only: str | None) -> Iterator[tuple[object, ...]]:
    axes = _axes(*((cell, None) if side == 0 else (None, cell)))
    for record in cell.records:
        for name in _names(record.metrics, only) or [""]:
            beside = (record.metrics.get(name), None), (record.status, None)
            values, statuses = (pair[::-1] if side else pair for pair in beside)
            yield (*axes, record.seed, name, *values, None, "", *statuses)


def changes_to_json(runs: Runs, only: str | None = None) -> str:
    """Write one object: the two folders, every cell that both have, and the cells that only one has."""
    found = {
        "a": runs.names[0],
        "b": runs.names[1],
        "cells": [_json_twin(twin, only) for twin in runs.twins],
        "only_a": [_json_alone(cell) for cell in runs.alone[0]],
        "only_b": [_json_alone(cell) for cell in runs.alone[1]],
    }
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _json_twin(twin: Twin, only: str | None) -> dict[str, object]:
    return {
        **{axis: twin.a.axis(axis) for axis in KEY},
        **{axis: {"a": twin.a.axis(axis), "b": twin.b.axis(axis)} for axis in FREE},
        "seeds": twin.seeds,
        "status": {"a": twin.a.status, "b": twin.b.status},
        "differs": twin.broken() or bool(twin.changed(twin.shown(only))),
        "made": twin.settings(),
        "metrics": {name: _json_metric(twin, name) for name in _names(twin.metrics(), only)},
    }


def _json_metric(twin: Twin, name: str) -> dict[str, object]:
    a, b, difference = (found and asdict(found) for found in twin.summaries(name))
    said = verdict(name, difference["mean"] if difference else None) or None
    by_seed = {str(seed): list(pair) for seed, pair in twin.values(name).items()}
    return {"a": a, "b": b, "difference": difference, "for_the_defender": said, "by_seed": by_seed}


def _json_alone(cell: Cell) -> dict[str, object]:
    axes = {axis: cell.axis(axis) for axis in (*KEY, *FREE)}
    return {**axes, "seeds": [record.seed for record in cell.records], "status": cell.status}
