"""benchkit show: all details of one component."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from benchkit.cli._complete import shown
from benchkit.errors import SpecError, did_you_mean
from benchkit.records.declared import crafted, in_record
from benchkit.records.metric import Metric
from benchkit.records.metrics import NEEDED
from benchkit.text import say

KINDS = ("attacks", "defenses", "datasets")


@click.command("show")
@click.argument("name", shell_complete=shown)
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cmd(name: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show the description, paper, assumptions and parameters (with defaults and bounds) of NAME."""
    found = [(kind, entry) for kind, entry in _entries(plugins) if entry.cls.name == name]
    if not found:
        names = sorted({entry.cls.name for _, entry in _entries(plugins)})
        raise SpecError(f"there is nothing called '{name}'{did_you_mean(name, names)}; there are: {', '.join(names)}")
    rows = [_described(kind, entry) for kind, entry in found]
    say(json.dumps(rows, indent=1) if as_json else "\n\n".join(_text(row) for row in rows))


def _entries(plugins: tuple[str, ...]) -> list[tuple[str, Any]]:
    from benchkit.spec.installed import PluginInfo
    from benchkit.spec.registry import Entry, load
    from benchkit.training.recipes import RECIPES

    registry = load(plugins)
    harness = PluginInfo("recipes", "benchkit.training.recipes", "benchkit")
    entries = [(kind[:-1], entry) for kind in KINDS for entry in registry.kind(kind).values()]
    return entries + [("recipe", Entry(cls, harness)) for cls in RECIPES.values()]


def _described(kind: str, entry: Any) -> dict[str, Any]:
    from benchkit.params.build import describe

    cls = entry.cls
    return {
        "name": cls.name,
        "kind": kind,
        "from": f"{entry.plugin.dist} {entry.plugin.version}".strip(),
        "paper": cls.paper,
        "description": inspect.cleandoc(cls.__doc__ or ""),
        "assumes": assumptions(cls, cls()),
        "reports": [_reported(kind, one) for one in getattr(cls, "metrics", ())],
        "parameters": describe(cls),
    }


def _reported(kind: str, one: Metric) -> dict[str, str]:
    """Return a metric that a component declares, as records call it."""
    named = crafted(one) if kind == "attack" else one
    return {"name": named.name, **in_record(named)}


def assumptions(cls: type[Any], component: Any) -> str:
    """Return the assumptions of a component in one line."""
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.dataset import Dataset
    from benchkit.contracts.defense import Defense
    from benchkit.protocol import overlaps

    if issubclass(cls, Attack):
        controls = {"data": "poisons data", "training": "controls training", "none": "no attacker"}[component.access]
        labels = {"dirty": "dirty labels", "clean": "clean labels", "none": "labels untouched"}[component.label_policy]
        model = ["knows a clean model of the victim's architecture"] if "model" in component.needs else []
        learns = ["learns its trigger while it trains the victim"] if component.learns else []
        return "; ".join([controls, labels, *model, *learns])
    if issubclass(cls, Defense):
        share = f"clean images worth {100 * component.clean:g} % of the training set"
        share += "" if component.labelled else ", without labels"
        data = share if component.clean else "no clean images"
        if overlaps(component.clean):
            data += " (clean versions of images the victim trains on among them)"
        needs = [f"needs {words}" for name, words in NEEDED.items() if name in cls.needs]
        return "; ".join([f"{cls.kind}, acts at {cls.stage}" if cls.stage != "none" else cls.kind, data, *needs])
    if issubclass(cls, Dataset) and not component.mirror:
        return "a mirror image is of another class, or of none: every recipe trains without mirroring (flip=false)"
    return ""


def _counted(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _text(row: dict[str, Any]) -> str:
    from tabulate import tabulate

    head = f"{row['name']} ({row['kind']}, from {row['from']})"
    lines = [head, "", row["description"]]
    lines += ["", f"Paper: {row['paper']}"] if row["paper"] else []
    lines += [f"Assumes: {row['assumes']}"] if row["assumes"] else []
    lines += [f"Reports: {one['name']}, {one['about']}{_counted(one['unit'])}" for one in row["reports"]]
    table = [(one["name"], one["type"], one["default"], one["bounds"], one["help"]) for one in row["parameters"]]
    if table:
        headers = ("parameter", "type", "default", "bounds", "meaning")
        lines += ["", tabulate(table, headers=headers, disable_numparse=True)]
    return "\n".join(lines)
