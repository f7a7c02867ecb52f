"""How long people wait for a command that computes nothing, in multiples of a process that does the least."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from _inprocess import planned
from _perf import Figure, Seconds, faster, turns
from scheduling import spec, written


def started(*words: str, **environment: str) -> str:
    """Run Python with these arguments, and variables, and wait; return what it printed."""
    everything = {**os.environ, "COLUMNS": "100", **environment}
    command = [sys.executable, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=everything).stdout


def figures(quick: bool) -> list[Figure]:
    """Measure commands; the ratio here is how many empty processes each is worth, or of click's import for a TAB."""
    repetitions = 1 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        files = written(planned(spec(3, 4, 1)), Path(folder))
        commands = {
            "benchkit --help": ("--help",),
            "benchkit plugins": ("plugins",),
            f"benchkit report, {len(files)} records": ("report", "--results", folder),
        }
        works = {name: functools.partial(started, "-m", "benchkit", *words) for name, words in commands.items()}
        least = {code: functools.partial(started, "-c", code) for code in ("pass", "import click")}
        taken = turns({**least, TAB: completed, **works}, repetitions)
    return [*(multiple(name, taken, "pass") for name in works), multiple(TAB, taken, "import click")]


TAB = "TAB behind benchkit run --attacks badnets,bl"


def completed() -> None:
    """Ask for the completion of a line as bash does, which calls the console script by its name."""
    line = {"COMP_WORDS": "benchkit\nrun\n--attacks\nbadnets,bl", "COMP_CWORD": "3"}
    code = "import sys; from benchkit import cli; sys.argv = ['benchkit']; cli.main()"
    if started("-c", code, _BENCHKIT_COMPLETE="bash_complete", **line) != "plain,badnets,blend\n":
        raise RuntimeError("nothing was completed")


def multiple(name: str, taken: Mapping[str, Seconds], least: str) -> Figure:
    """Return how many of the least processes a command is worth: here ours is over the reference."""
    turned = faster(name, taken[least], f"python -c {least!r} (value: ours over it)", taken[name])
    return replace(turned, ours=turned.reference, reference=turned.ours)
