"""benchkit plugins: what is installed, by kind; with --check, whether all of it works."""

from __future__ import annotations

import itertools
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from benchkit.cli._listed import ACCESS, KINDS, Listed, listed
from benchkit.spec.installed import GROUP
from benchkit.text import printable, say, warn

NARROW, WIDE = 60, 120


@click.command("plugins")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--access", type=click.Choice([*ACCESS]), help="Only attacks whose attacker controls this much.")
@click.option("--check", is_flag=True, help="Exit 1 if a plugin is broken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
def cmd(kind: str | None, access: str | None, check: bool, as_json: bool, plugins: tuple[str, ...]) -> int:
    """List every attack, defense, dataset, network and recipe, with a line and the paper of each.

    benchkit show NAME tells all about one of them. Any network of timm can be named, too.
    """
    from benchkit.spec.registry import load

    registry = load(plugins)
    found = [one for one in listed(registry) if kind in (None, _plural(one)) and access in (None, one.access)]
    if as_json:
        say(json.dumps({"components": [*map(_row, found)], "problems": registry.problems}, indent=1))
    else:
        say("\n".join(_lines(found, shutil.get_terminal_size((WIDE, 0)).columns)) or "there is none of these")
        for problem in registry.problems:
            warn(f"problem: {problem}")
    return 1 if check and registry.problems else 0


def _plural(one: Listed) -> str:
    return next(kind for kind in KINDS if kind.startswith(one.kind[:-1]))


def _row(one: Listed) -> dict[str, Any]:
    told = {"kind": one.kind, "name": one.name, "group": one.group, "about": one.about, "paper": one.paper}
    return told | {"from": one.plugin.dist, "version": one.plugin.version, "module": one.plugin.target}


def _lines(found: Sequence[Listed], columns: int) -> Iterator[str]:
    """Yield the listing: a head for each kind and group, and below it a paragraph for each name."""
    column = max((len(printable(one.name)) for one in found), default=0) + 4
    width = min(max(columns, NARROW), WIDE)
    first = True
    for (kind, group), members in itertools.groupby(found, key=lambda one: (_plural(one), one.group)):
        yield ("" if first else "\n") + ": ".join(filter(None, (kind, group)))
        yield from (_paragraph(one, column, width) for one in members)
        first = False


def _paragraph(one: Listed, column: int, width: int) -> str:
    said = [one.about, f"({one.source})" * bool(one.source), f"[{one.plugin.dist}]" * (one.plugin.dist != GROUP)]
    head = f"  {printable(one.name)}".ljust(column)
    return textwrap.fill(
        printable(" ".join(filter(None, said))), width, initial_indent=head, subsequent_indent=" " * column
    )
