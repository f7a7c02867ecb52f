"""benchkit suites: the runs that installed packages bring, which go by name."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from benchkit.text import say, warn

if TYPE_CHECKING:
    from benchkit.execute.outlook import Outlook
    from benchkit.spec.shipped import Suite

WIDTH, DATA_WIDTH = 52, 36
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
HEAD = ("suite", "what for", "cells", "models", "fits", "data")
LEGEND = """\
models: networks to train, with shadow models and populations; fits: what defenses learn before they judge. Both as
planned without looking at the data; benchkit plan NAME lists every step."""


@click.command("suites")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cmd(as_json: bool) -> None:
    """List the installed suites: what each is for, how much it trains, and what data it needs.

    benchkit run NAME runs one, with whatever options replace its own; benchkit report --against NAME puts published
    numbers beside yours.
    """
    from benchkit.execute.outlook import outlook
    from benchkit.spec.registry import load
    from benchkit.spec.shipped import shipped, told

    registry = load()
    for problem in registry.problems:
        warn(f"warning: {problem}")
    found = [(told(path), outlook(path, registry)) for path in shipped(".toml").values()]
    if as_json:
        rows = [_row(*one) for one in found]
        say(json.dumps({"suites": rows, "published": list(shipped(".csv"))}, indent=1))
        return
    say(_table(found))
    say(f"\n{LEGEND}\n\nPublished numbers, for report --against: {', '.join(shipped('.csv')) or 'none'}")


def _row(suite: Suite, ahead: Outlook) -> dict[str, Any]:
    return {"name": suite.name, "about": suite.about, **asdict(ahead), "asked": suite.asked}


def _table(found: list[tuple[Suite, Outlook]]) -> str:
    from tabulate import tabulate

    rows: list[tuple[str, ...]] = []
    for suite, ahead in found:
        about = SENTENCE.split(suite.about)[0]
        if ahead.problem:
            rows.append((suite.name, f"{about} It cannot be planned: {ahead.problem}"))
        else:
            counts = (f"{count:,}" for count in (ahead.cells, ahead.models, ahead.fits))
            rows.append((suite.name, about, *counts, ", ".join(ahead.data)))
    aligned = ("left", "left", "right", "right", "right", "left")
    widths = [None, WIDTH, None, None, None, DATA_WIDTH]
    return tabulate(rows, headers=HEAD, colalign=aligned, maxcolwidths=widths, disable_numparse=True)
