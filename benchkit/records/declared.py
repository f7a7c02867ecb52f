"""Metrics that plugins declare: which declarations are sound, and what records say of them. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchkit.records.metric import Metric
from benchkit.records.metrics import AT_PUBLISHED_FPR, CRAFTED, METRICS
from benchkit.text import printable

NAME = re.compile(rf"({CRAFTED})?[a-z][a-z0-9_]{{0,39}}")
MOST = {"title": 40, "unit": 12, "about": 300}
"""Letters in each part of a declaration."""


def declared_in(found: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics that a record from anywhere declares, by name; what is no declaration is omitted.

    None of them stands in for one of ours.
    """
    made = {str(name): _declared(str(name), said) for name, said in found.items() if isinstance(said, Mapping)}
    return {name: one for name, one in made.items() if declaration_fault(one) is None}


def _declared(name: str, said: Mapping[str, Any]) -> Metric:
    better: Any = said.get("better")
    title, unit, about = (printable(str(said.get(part) or "")) for part in MOST)
    return Metric(name, title, better, unit, about)


def in_record(one: Metric) -> dict[str, str]:
    """Return what a record says of a metric, apart from its name."""
    return {"title": one.title, "better": one.better, "unit": one.unit, "about": one.about}


def crafted(one: Metric) -> Metric:
    """Return an attack's metric under its name in records."""
    name = CRAFTED + one.name
    return replace(one, name=name, title=name if one.title == one.name else one.title)


def declarations_fault(metrics: object) -> str | None:
    """Return why a plugin's ``metrics`` cannot be used, as a clause, or None."""
    if not isinstance(metrics, tuple) or not all(isinstance(one, Metric) for one in metrics):
        return f"metrics must be a tuple of benchkit.Metric, got {metrics!r:.100}"
    names = [one.name for one in metrics]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        return f"metrics declares '{twice[0]}' twice: leave one out"
    crafted = [name for name in names if str(name).startswith(CRAFTED)]
    if crafted:
        return f"metrics declares '{crafted[0]}', but {CRAFTED} is what the metrics of attacks begin with in records"
    faults = ((one.name, declaration_fault(one)) for one in metrics)
    return next((f"metrics declares '{name}', but {fault}" for name, fault in faults if fault), None)


def declaration_fault(one: Metric) -> str | None:
    """Return why a plugin, or a record, cannot have such a metric, as a clause, or None."""
    if not (isinstance(one.name, str) and NAME.fullmatch(one.name)):
        return "a name has lower-case letters, digits and underscores, 40 at most"
    if one.name in METRICS or one.name == AT_PUBLISHED_FPR.name:
        return "benchkit has a metric of that name: choose another"
    if one.better not in ("higher", "lower", "neither"):
        return f"better is {one.better!r}: use 'higher', 'lower' or 'neither'"
    for part, most in MOST.items():
        said = getattr(one, part)
        if not isinstance(said, str) or len(said) > most or printable(said) != said:
            return f"its {part} must be one line of at most {most} letters"
    return None if one.about.strip() else "says nothing about it: give about='...'"
