"""The options of the commands that read records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from benchkit.cli._complete import listed
from benchkit.records.record import Record
from benchkit.text import printable, warn

F = TypeVar("F", bound=Callable[..., Any])
NAMED = 10
"""Maximum number of faulty files that are named, one per line."""

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Write the figure here; .png, .svg or .pdf.",
)
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("benchkit-results"),
    show_default=True,
    metavar="DIR",
    help="Folder of a finished (or unfinished) run.",
)


def selecting(*axes: str) -> Callable[[F], F]:
    """Add ``--results``, a list option for each of these axes, and ``--seeds``."""

    def add(command: F) -> F:
        command = click.option("--seeds", metavar="N|LIST", help="How many (3), or which (0,5,7).")(command)
        for axis in reversed(axes):
            example = "  Such as badnets,blend:alpha=0.3 or all,-wanet." if axis == "attack" else ""
            names = (f"--{axis}s", f"--{axis}")
            told = f"Only these {axis}s.{example}"
            command = click.option(*names, metavar="LIST", shell_complete=listed(f"{axis}s"), help=told)(command)
        return results_option(command)

    return add


def say_faults(faults: Sequence[tuple[Record, str]]) -> None:
    """Warn of each record with omitted parts, by the name of its file."""
    for record, fault in faults[:NAMED]:
        warn(f"warning: {record.file}: {printable(fault)}, and was left out")
    if len(faults) > NAMED:
        warn(f"warning: the same in {len(faults) - NAMED} more files")
