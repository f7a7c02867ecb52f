"""How long people wait for a command that computes nothing, in multiples of an empty Python process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from _inprocess import planned
from _perf import Figure, Seconds, faster, turns
from scheduling import spec, written


def started(*words: str) -> None:
    """Run Python with these arguments and wait."""
    environment = {**os.environ, "COLUMNS": "100"}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)


def figures(quick: bool) -> list[Figure]:
    """Measure three commands; the ratio here is how many empty processes each is worth."""
    repetitions = 1 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        files = written(planned(spec(3, 4, 1)), Path(folder))
        commands = {
            "benchkit --help": ("--help",),
            "benchkit plugins": ("plugins",),
            f"benchkit report, {len(files)} records": ("report", "--results", folder),
        }
        works = {name: functools.partial(started, "-m", "benchkit", *words) for name, words in commands.items()}
        taken = turns({"pass": functools.partial(started, "-c", "pass"), **works}, repetitions)
    return [multiple(name, taken[name], taken["pass"]) for name in works]


def multiple(name: str, ours: Seconds, empty: Seconds) -> Figure:
    """Return how many empty processes a command is worth: here ours is over the reference."""
    turned = faster(name, empty, "python -c pass (value: ours over it)", ours)
    return replace(turned, ours=turned.reference, reference=turned.ours)
