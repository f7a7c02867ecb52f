"""The page of one cell."""

from __future__ import annotations

from collections.abc import Mapping

from benchkit.records.metrics import metric
from benchkit.records.record import Record, finite
from benchkit.report.cells import Cell, seeds_of, suspects
from benchkit.report.summaries import summarize
from benchkit.report.tables.document import MEANING, Entry, Head, Report, Table
from benchkit.report.tables.notes import Notes, assumptions, fault_signs, faults, populations, seeds_line, warnings
from benchkit.report.tables.particular import changed
from benchkit.text import printable


def page(cells: list[Cell]) -> Report:
    """Return a report of one attack against one defense, for each dataset, model, recipe and poison rate."""
    tables = [table for cell in cells for table in (_metrics(cell), _costs(cell))]
    return Report(tuple(table for table in tables if table.rows), _notes(cells))


def _title(cell: Cell) -> str:
    axes = ("dataset", "model", "recipe", "poison_rate")
    place = ", ".join(f"{axis.replace('_', ' ')} {cell.label(axis)}" for axis in axes)
    return f"{cell.label('attack')} x {cell.axis('defense')}: {place}"


def _metrics(cell: Cell) -> Table:
    rows = []
    for name in cell.metrics():
        known, summary = cell.known(name), cell.summary(name)
        if summary is not None:
            half = "" if summary.ci95 is None else known.half(summary.ci95)
            texts = (known.text(summary.mean), half, str(summary.n), known.about)
            rows.append((Head(known.title, known.unit), tuple(map(Entry, texts))))
    heads = (Head("mean"), Head("95 % ±"), Head("seeds"), Head("what it is", wrap=True))
    return Table(_title(cell), "metric", heads, tuple(rows))


def _costs(cell: Cell) -> Table:
    stages = sorted({stage for record in cell.records for stage in record.costs})
    rows = tuple(
        (Head(printable(stage)), tuple(Entry(_cost(cell, stage, name)) for name in ("seconds", "peak_mb")))
        for stage in stages
    )
    return Table("Costs per stage, mean over seeds", "stage", (Head("seconds"), Head("peak MB")), rows)


def _cost(cell: Cell, stage: str, name: str) -> str:
    spent = [costs for record in cell.records if isinstance(costs := record.costs.get(stage), dict)]
    values = [costs[name] for costs in spent if finite(costs.get(name))]
    return metric(name).text(summarize(values).mean) if values else ""


def _notes(cells: list[Cell]) -> Notes:
    records = [record for cell in cells for record in cell.records]
    notes = (
        ("Seeds", (*_seeds(cells), *populations(cells), *changed(cells), *_interval(cells))),
        ("Suspected classes", _suspected(cells)),
        ("Assumptions", assumptions(cells)),
        ("Parameters", _parameters(records)),
        ("Failed, timed out or skipped", (*faults(cells), *_signs(cells))),
        ("Warnings", warnings(cells)),
        ("Versions", tuple(sorted({_pairs(record.environment) for record in records if record.environment}))),
    )
    return tuple((heading, lines) for heading, lines in notes if lines)


def _seeds(cells: list[Cell]) -> tuple[str, ...]:
    return tuple(
        f"{_title(cell)}: {', '.join(f'{record.seed} {record.status}' for record in cell.records)}" for cell in cells
    )


def _suspected(cells: list[Cell]) -> tuple[str, ...]:
    return tuple(
        f"{_title(cell)}, seed {record.seed}: {'; '.join(suspects(record))}"
        for cell in cells
        for record in cell.ok
        if record.suspected
    )


def _interval(cells: list[Cell]) -> list[str]:
    summaries = [cell.summary(name) for cell in cells for name in cell.metrics()]
    spread = any(summary and summary.ci95 is not None for summary in summaries)
    return [seeds_line(seeds_of(cells), spread)] if summaries else []


def _signs(cells: list[Cell]) -> list[str]:
    used = [f"{sign} {MEANING[sign]}" for sign in MEANING if sign in fault_signs(cells)]
    return [", ".join(used)] if used else []


def _parameters(records: list[Record]) -> tuple[str, ...]:
    lines = set()
    for record in records:
        attack, defense = f"attack {record.attack}", f"defense {record.defense}"
        for spec, info in ((attack, record.attack_info), (defense, record.defense_info)):
            params = info.get("params")
            if isinstance(params, dict) and params:
                lines.add(f"{spec}: {_pairs(params)}")
    return tuple(sorted(lines))


def _pairs(mapping: Mapping[str, object]) -> str:
    return ", ".join(f"{printable(str(name))} {printable(str(value))}" for name, value in mapping.items())
