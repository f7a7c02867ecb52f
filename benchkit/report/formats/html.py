"""From cells to one self-contained page. All text of records is embedded as data; the page never reads it as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from benchkit import __version__
from benchkit.records.metric import Metric
from benchkit.records.metrics import METRICS
from benchkit.records.record import Record
from benchkit.report.assumed import Assumed, attacker, defender
from benchkit.report.cells import AXES, Cell, known_in, seeds_of, suspects
from benchkit.report.evidence import curves_of, gallery_of
from benchkit.report.meaning import good
from benchkit.report.summaries import Summary
from benchkit.report.tables.findings import findings
from benchkit.report.tables.matrix import Axes, best_of, groups_of, number
from benchkit.report.tables.notes import MARGIN, NEVER, SHARED, assumptions, faults, populations, warnings
from benchkit.report.tables.particular import changed
from benchkit.report.tables.ranks import rankings
from benchkit.text import printable

STYLES = ("page", "matrix", "parts")
SCRIPTS = ("base", "scene", "heads", "matrix", "charts", "cell", "findings", "ranks", "export", "start")
_SETTING = ("stage",)
"""What of a component's assumptions its badges do not say."""


def styles() -> str:
    """Return the style sheet of pages."""
    return "".join(_asset(f"{name}.css") for name in STYLES)


def to_html(cells: Iterable[Cell], only: str | None = None, *, about: str = "", home: str = "") -> str:
    """Write a self-contained page with these cells; it opens with the metric ``only``.

    ``about`` is a paragraph for its head, ``home`` the name of a page beside it to link back to.

    The content security policy of the page allows only its own script and style, by their hashes: a browser would not
    run a script from the text of a record.
    """
    style = styles()
    script = "".join(_asset(f"{name}.js") for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    parts = {
        "@STYLE_HASH@": _hash(style),
        "@SCRIPT_HASH@": _hash(script),
        "@STYLE@": style,
        "@SCRIPT@": script,
        "@DATA@": embedded({**page_data(list(cells), only), "about": about, "home": home}),
    }
    page = _asset("page.html")
    for place, text in parts.items():
        page = page.replace(place, text)
    return page


def embedded(data: object) -> str:
    """Return JSON that is safe in a script element: no character in it can end the element or start a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _asset(name: str) -> str:
    return (files("benchkit.report.formats") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page_data(cells: list[Cell], only: str | None = None) -> dict[str, Any]:
    """Return all data of the page, ready for JSON. A scene is one dataset, model, recipe and poison rate."""
    names = {name: None for cell in cells for name in (*cell.metrics(), *Axes().usual(cell), *Axes().shown(cell))}
    numbers = {id(cell): index for index, cell in enumerate(cells)}
    known = [*(name for name in METRICS if name in names), *sorted(names.keys() - METRICS.keys())]
    groups = groups_of(cells, Axes())
    parts: dict[str, int] = {}
    shown = [_cell(cell, parts) for cell in cells]
    return {
        "version": __version__,
        "metric": only,
        "metrics": {name: _metric(known_in(cells, name)) for name in known},
        "seeds": seeds_of(cells),
        "finished": _days(cells),
        "cells": shown,
        "components": [json.loads(part) for part in parts],
        "scenes": [_scene(group, numbers, known) for group in groups],
        "faults": faults(cells),
        "warnings": warnings(cells),
        "assumptions": (*assumptions(cells), *populations(cells), *changed(cells)),
        "leading": [f"{text[:1].upper()}{text[1:]}" for text in (NEVER, SHARED, MARGIN)],
    }


def _days(cells: Iterable[Cell]) -> list[str]:
    """Return the first and the last day on which a record was finished."""
    days = {record.finished[:10] for cell in cells for record in cell.records if record.finished}
    return sorted({min(days), max(days)}) if days else []


def _metric(found: Metric) -> dict[str, Any]:
    return {"title": found.title, "better": found.better, "unit": found.unit, "about": found.about}


def _scene(cells: list[Cell], numbers: Mapping[int, int], names: Iterable[str]) -> dict[str, Any]:
    # As in tables: an attacked cell names the scene; benign ones may come from another poison rate.
    host = next((cell for cell in cells if not cell.benign), cells[0])
    best = {name or "": best_of(cells, Axes(metric=name)) for name in (None, *names)}
    return {
        **{axis: host.label(axis) for axis in Axes().split()},
        "cells": [numbers[id(cell)] for cell in cells],
        "best": {name: sorted(numbers[one] for one in found) for name, found in best.items() if found},
        "rankings": [asdict(ranking) for ranking in rankings(cells)],
        "findings": asdict(findings(cells)),
    }


def _cell(cell: Cell, parts: dict[str, int]) -> dict[str, Any]:
    summaries = {name: summary for name in cell.metrics() if (summary := cell.summary(name))}
    return {
        **{axis: cell.axis(axis) for axis in AXES},
        "rate": cell.label("poison_rate"),
        "kind": "baseline" if cell.baseline else cell.kind,
        "benign": cell.benign,
        "clean_label": cell.clean_label,
        "status": cell.status,
        "warnings": sorted(cell.warnings()),
        "usual": Axes().usual(cell),
        "shown": Axes().shown(cell),
        "judged": Axes().judged(cell),
        "short": cell.row.about(),
        "metrics": {name: _summary(cell, name, summary) for name, summary in summaries.items()},
        "records": [_record(record) for record in cell.records],
        "costs": _mean_costs(cell),
        "versions": sorted({_interned(record.environment, parts) for record in cell.records}),
        **_pictures(cell),
        "place": [list(cell.place(axis)) for axis in ("attack", "defense")],
        "good": None if (place := good(cell, Axes().shown(cell))) is None else round(place, 3),
        "parts": [
            _part(cell.records[0].attack_info, attacker(cell), parts),
            _part(cell.records[0].defense_info, defender(cell), parts),
        ],
    }


def _part(info: Mapping[str, Any], assumed: Assumed, parts: dict[str, int]) -> int:
    """Return the number of a component: what many cells share is told once."""
    told = {"says": _settings(info), "paper": printable(str(info.get("paper", ""))), **asdict(assumed)}
    return _interned(told, parts)


def _interned(told: Mapping[str, Any], parts: dict[str, int]) -> int:
    return parts.setdefault(json.dumps(told, sort_keys=True), len(parts))


def _summary(cell: Cell, name: str, summary: Summary) -> list[Any]:
    """Return mean, ci95, n and the texts of tables (mean, half width, both), so that page and tables round alike.

    What follows these is each seed's value, where there are several. The page gives them their names again.
    """
    known = cell.known(name)
    text, half = known.text(summary.mean), None if summary.ci95 is None else known.half(summary.ci95)
    full = number(cell, name)
    told = [summary.mean, summary.ci95, summary.n, text, half, None if full == text else full]
    many = [_short(record.metrics.get(name)) for record in cell.records] if len(cell.records) > 1 else []
    return [*told, *many]


def _short(value: float | None) -> float | None:
    """Return a value with six digits: of single seeds the page shows fewer."""
    return None if value is None else float(f"{value:.6g}")


def _record(record: Record) -> dict[str, Any]:
    found = {
        "seed": record.seed,
        "status": record.status,
        "error": record.error,
        "warnings": record.warnings,
        "curves": curves_of(record.curves),
        "suspected": suspects(record),
    }
    return {name: value for name, value in found.items() if value not in ("", (), [], {})}


def _pictures(cell: Cell) -> dict[str, Any]:
    """Return the pictures of one seed: those of the others look alike, and would make the page several times larger."""
    found = ((record.seed, gallery_of(record.gallery)) for record in cell.ok)
    return next(({"pictures": {"seed": seed, "gallery": gallery}} for seed, gallery in found if gallery), {})


SPENT = ("peak_device_mb", "peak_mb", "seconds")


def _mean_costs(cell: Cell) -> dict[str, dict[str, float]]:
    """Return what each stage cost, by its role, as means over the seeds that tell it."""
    spent = defaultdict[tuple[str, str], list[float]](list)
    for record in cell.records:
        for stage, costs in record.costs.items():
            for name in SPENT if isinstance(costs, dict) else ():
                if _is_number(value := costs.get(name)):
                    spent[stage, name].append(float(value))
    found: dict[str, dict[str, float]] = {}
    for (stage, name), values in sorted(spent.items()):
        found.setdefault(printable(stage), {})[name] = round(sum(values) / len(values), 3)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300


def _settings(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters and the assumptions of a component, as text."""
    params = info.get("params")
    said = {name: info[name] for name in _SETTING if info.get(name) is not None}
    return {
        printable(str(name)): printable(_plain(value))
        for name, value in {**(params if isinstance(params, dict) else {}), **said}.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
