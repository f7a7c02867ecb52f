"""From cells to CSV and JSON, for other programs: fractions stay fractions, and no cell is omitted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict

from benchkit.records.declared import in_record
from benchkit.report.cells import AXES, Cell
from benchkit.report.published.numbers import MATCHED
from benchkit.report.published.pairs import Pair

COLUMNS = ("attack", "defense", "dataset", "model", "recipe", "poison_rate", "metric", "mean", "ci95", "n")
_STATE = ("status", "warnings")


def to_csv(cells: Iterable[Cell], only: str | None = None) -> str:
    """Write one row per cell and metric (or for the metric ``only``); a cell without metrics has an empty row.

    ``warnings`` are a JSON array, as in the table of ``tidy``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, *_STATE))
    for cell in cells:
        place = [cell.axis(axis) for axis in AXES]
        for row in _csv_rows(cell, only) or [("", "", "", 0)]:
            writer.writerow((*place, *row, *_state(cell)))
    return out.getvalue()


def _csv_rows(cell: Cell, only: str | None) -> list[tuple[object, ...]]:
    found = ((name, cell.summary(name)) for name in _names(cell, only))
    return [(name, summary.mean, summary.ci95, summary.n) for name, summary in found if summary]


def to_json(cells: Iterable[Cell], only: str | None = None) -> str:
    """Write one object per cell: its axes, the seeds tried, the status, and each metric's summary.

    Where there are any, ``declared`` says what plugins say of their metrics, and ``suspected`` which classes the
    defense suspects, by seed.
    """
    return json.dumps([_json_cell(cell, only) for cell in cells], indent=2, allow_nan=False) + "\n"


def _json_cell(cell: Cell, only: str | None) -> dict[str, object]:
    found = ((name, cell.summary(name)) for name in _names(cell, only))
    more = {
        "declared": {name: in_record(one) for name, one in cell.declared.items() if only in (None, name)},
        "suspected": {str(record.seed): list(record.suspected) for record in cell.ok if record.suspected},
    }
    return {
        **{axis: cell.axis(axis) for axis in AXES},
        "seeds": [record.seed for record in cell.records],
        "status": cell.status,
        "warnings": sorted(cell.warnings()),
        "metrics": {name: asdict(summary) for name, summary in found if summary},
        **{name: said for name, said in more.items() if said},
    }


def _state(cell: Cell | None) -> tuple[str, str]:
    warnings = sorted(cell.warnings()) if cell else []
    return (cell.status if cell else "", json.dumps(warnings, ensure_ascii=False))


def _names(cell: Cell, only: str | None) -> list[str]:
    return [name for name in cell.metrics() if only in (None, name)]


_BESIDE = (
    *("published", "difference", "source", *(f"published_{axis}" for axis in MATCHED)),
    *("published_fpr", "made_otherwise"),
)


def pairs_to_csv(pairs: Iterable[Pair]) -> str:
    """Write one row per number of ours, and one per published number without a number of ours."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, *_BESIDE, *_STATE))
    for pair in pairs:
        place = [pair.cell.axis(axis) if pair.cell else "" for axis in AXES]
        ours = (pair.ours.mean, pair.ours.ci95, pair.ours.n) if pair.ours else ("", "", 0)
        writer.writerow((*place, pair.metric, *ours, *_beside(pair).values(), *_state(pair.cell)))
    return out.getvalue()


def pairs_to_json(pairs: Iterable[Pair]) -> str:
    """Write one object per pair; null is a missing number."""
    return json.dumps([_json_pair(pair) for pair in pairs], indent=2, allow_nan=False) + "\n"


def _json_pair(pair: Pair) -> dict[str, object]:
    return {
        **{axis: pair.cell.axis(axis) if pair.cell else None for axis in AXES},
        "status": pair.cell.status if pair.cell else None,
        "warnings": sorted(pair.cell.warnings()) if pair.cell else [],
        "metric": pair.metric,
        "ours": asdict(pair.ours) if pair.ours else None,
        **_beside(pair),
    }


def _beside(pair: Pair) -> dict[str, object]:
    row = pair.published
    if row is None:
        return dict.fromkeys(_BESIDE)
    parts = (row.part(axis).text for axis in MATCHED)
    found = (row.value, pair.difference, row.source, *parts, pair.fpr, "; ".join(pair.unlike) or None)
    return dict(zip(_BESIDE, found, strict=True))
