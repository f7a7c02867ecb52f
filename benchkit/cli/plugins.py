"""benchkit plugins: list installed plugins; with --check, test them."""

from __future__ import annotations

import json
from typing import Any

import click

from benchkit.text import say, warn


@click.command("plugins")
@click.option("--check", is_flag=True, help="Import every plugin and list its components; exit 1 if one is broken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
def cmd(check: bool, as_json: bool, plugins: tuple[str, ...]) -> int:
    """List the installed plugins. Without --check, no plugin is imported."""
    from benchkit.spec.installed import find

    if check or plugins:
        return _checked(as_json, plugins)
    rows = [{"name": one.name, "from": one.dist, "version": one.version, "module": one.target} for one in find()]
    say(json.dumps(rows, indent=1) if as_json else _table(rows))
    return 0


def _checked(as_json: bool, files: tuple[str, ...]) -> int:
    from benchkit.spec.registry import KINDS, load

    registry = load(files)
    rows = [
        {"kind": kind[:-1], "name": name, "from": entry.plugin.dist, "version": entry.plugin.version}
        for kind in KINDS
        for name, entry in sorted(registry.kind(kind).items())
    ]
    if as_json:
        say(json.dumps({"components": rows, "problems": registry.problems}, indent=1))
    else:
        say(_table(rows))
        for problem in registry.problems:
            warn(f"problem: {problem}")
    return 1 if registry.problems else 0


def _table(rows: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers="keys", disable_numparse=True)
