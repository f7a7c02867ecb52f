"""From two runs to CSV and JSON, for other programs: every cell, whether it differs or not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from benchkit.report.cells import Cell
from benchkit.report.runs.pairs import FREE, KEY, CellPair, RunComparison, minus, verdict

COLUMNS = (
    *KEY, *(f"{axis}_{side}" for axis in FREE for side in "ab"), "seed", "metric", "a", "b", "difference",
    "status_a", "status_b", "mean_difference", "ci95", "for_the_defender",
)  # fmt: skip


def changes_to_csv(runs: RunComparison, only: str | None = None) -> str:
    """Write one row per cell, seed and metric, whether it differs or not, including those in only one run.

    The last three columns are for the cell over all seeds, and the same in each of its rows.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for twin in runs.twins:
        for name in _names(twin.metrics(), only) or [""]:
            judged = _judged(twin, name)
            for number, seed in enumerate(twin.seeds):
                values = twin.values(name).get(seed, (None, None))
                statuses = [cell.records[number].status for cell in (twin.a, twin.b)]
                numbers = (*values, minus(*values[::-1]))
                writer.writerow((*_axes(twin.a, twin.b), seed, name, *numbers, *statuses, *judged))
    for side, cells in enumerate(runs.alone):
        for cell in cells:
            writer.writerows(_alone_rows(cell, side, only))
    return out.getvalue()


def _names(names: Iterable[str], only: str | None) -> list[str]:
    return [name for name in names if only in (None, name)]


def _judged(twin: CellPair, name: str) -> tuple[float | None, float | None, str]:
    _, _, difference = twin.summaries(name)
    return (difference.mean, difference.ci95, verdict(twin.known(name), difference)) if difference else (None, None, "")


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
            yield (*axes, record.seed, name, *values, None, *statuses, None, None, "")


def changes_to_json(runs: RunComparison, only: str | None = None) -> str:
    """Write one object: the two folders, every cell in both, and the cells in only one."""
    found = {
        "a": runs.names[0],
        "b": runs.names[1],
        "cells": [_json_twin(twin, only) for twin in runs.twins],
        "only_a": [_json_alone(cell) for cell in runs.alone[0]],
        "only_b": [_json_alone(cell) for cell in runs.alone[1]],
    }
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _json_twin(twin: CellPair, only: str | None) -> dict[str, object]:
    return {
        **{axis: twin.a.axis(axis) for axis in KEY},
        **{axis: {"a": twin.a.axis(axis), "b": twin.b.axis(axis)} for axis in FREE},
        "seeds": twin.seeds,
        "status": {"a": twin.a.status, "b": twin.b.status},
        "differs": twin.broken() or bool(twin.changed(twin.shown(only))),
        "made": twin.settings(),
        "metrics": {name: _json_metric(twin, name) for name in _names(twin.metrics(), only)},
    }


def _json_metric(twin: CellPair, name: str) -> dict[str, object]:
    a, b, difference = twin.summaries(name)
    return {
        **{key: found and asdict(found) for key, found in (("a", a), ("b", b), ("difference", difference))},
        "for_the_defender": verdict(twin.known(name), difference) or None,
        "by_seed": {str(seed): list(pair) for seed, pair in twin.values(name).items()},
    }


def _json_alone(cell: Cell) -> dict[str, object]:
    axes = {axis: cell.axis(axis) for axis in (*KEY, *FREE)}
    return {**axes, "seeds": [record.seed for record in cell.records], "status": cell.status}
