"""benchkit suites: the runs that installed packages bring, which go by name."""

from __future__ import annotations

import json
from textwrap import shorten

import click

from benchkit.text import say

WIDTH, LETTERS = 60, 150


@click.command("suites")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cmd(as_json: bool) -> None:
    """List the installed suites: what each is for, how large it is, and what data it needs.

    benchkit run NAME runs one, with whatever options replace its own; benchkit report --against NAME puts published
    numbers beside yours.
    """
    from tabulate import tabulate

    from benchkit.spec.shipped import shipped, told

    found = [told(path) for path in shipped(".toml").values()]
    if as_json:
        rows = [{"name": one.name, "about": one.about, "size": one.size, "asked": one.asked} for one in found]
        say(json.dumps({"suites": rows, "published": list(shipped(".csv"))}, indent=1))
        return
    table = [
        (one.name, shorten(one.about, LETTERS, placeholder=" ..."), one.size.partition(": ")[2], one.data or "embedded")
        for one in found
    ]
    say(tabulate(table, headers=("suite", "what for", "size", "data"), maxcolwidths=[None, WIDTH, None, None]))
    say(f"\nPublished numbers, for report --against: {', '.join(shipped('.csv')) or 'none'}")
