"""benchkit show: all details of one component."""

from __future__ import annotations

import json
from typing import Any

import click

from benchkit.cli._complete import shown
from benchkit.cli._listed import Listed, listed, plain
from benchkit.errors import SpecError, did_you_mean
from benchkit.records.declared import crafted, in_record
from benchkit.records.metric import Metric
from benchkit.records.metrics import NEEDED
from benchkit.text import say

CLASSES, SHAPE = 10, (3, 32, 32)
"""What the size of a network is told for."""


@click.command("show")
@click.argument("name", shell_complete=shown)
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cmd(name: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show the description, paper, assumptions and parameters (with defaults and bounds) of NAME."""
    from benchkit.spec.registry import load

    known = list(listed(load(plugins)))
    found = [one for one in known if one.name == name] or _timms(name)
    if not found:
        names = sorted({one.name for one in known})
        raise SpecError(
            f"there is nothing called '{name}'{did_you_mean(name, names)}; benchkit plugins lists all names"
        )
    rows = [_described(one) for one in found]
    say(json.dumps(rows, indent=1) if as_json else "\n\n".join(_text(row) for row in rows))


def _timms(name: str) -> list[Listed]:
    """Return timm's network of this name, as a list of one, or an empty one."""
    import timm

    from benchkit.spec.installed import PluginInfo

    if not timm.is_model(name):
        return []
    build = timm.model_entrypoint(name)
    return [
        Listed("model", name, "", plain(build.__doc__ or ""), "", PluginInfo(name, build.__module__, "timm"), build)
    ]


def _described(one: Listed) -> dict[str, Any]:
    from benchkit.params.build import describe

    model = one.kind == "model"
    return {
        "name": one.name,
        "kind": one.kind,
        "from": f"{one.plugin.dist} {one.plugin.version}".strip(),
        "paper": one.paper,
        "description": one.text,
        "assumes": "" if model else assumptions(one.made, one.made()),
        "size": _size(one) if model else "",
        "reports": [_reported(one.kind, metric) for metric in getattr(one.made, "metrics", ())],
        "parameters": [] if model else describe(one.made),
    }


def _size(one: Listed) -> str:
    """Return how many weights a network has, without allocating them."""
    import torch

    with torch.device("meta"):
        ours = one.plugin.dist != "timm"
        net = one.made(CLASSES, SHAPE) if ours else one.made(num_classes=CLASSES)
    weights = sum(weight.numel() for weight in net.parameters())
    return f"{weights:,} weights for {CLASSES} classes" + f" of {SHAPE[1]} x {SHAPE[2]} RGB images" * ours


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
    lines += [f"Size: {row['size']}"] if row["size"] else []
    lines += [f"Reports: {one['name']}, {one['about']}{_counted(one['unit'])}" for one in row["reports"]]
    table = [(one["name"], one["type"], one["default"], one["bounds"], one["help"]) for one in row["parameters"]]
    if table:
        headers = ("parameter", "type", "default", "bounds", "meaning")
        lines += ["", tabulate(table, headers=headers, disable_numparse=True)]
    return "\n".join(lines)
