"""What the commands of benchkit scan share: options, the request of what they learn, and where results go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchkit.cli._options import COUNT, SEED, shared_options, threads_option
from benchkit.execute.request import ExecutionOptions
from benchkit.spec.suite import SUITE_KEYS
from benchkit.text import hand_out

if TYPE_CHECKING:
    from benchkit.execute.request import Request

F = TypeVar("F", bound=Callable[..., Any])
NOT_ASKED = (*SUITE_KEYS, "suite")
"""Shared options that a scan does not use."""
FORMATS = ("table", "json", "csv")
OUT = click.Path(path_type=Path, dir_okay=False)

COMMON = [
    click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of all random choices."),
    click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True),
    click.option("--out", type=OUT, metavar="FILE", help="Write to this file."),
    click.option("--jobs", type=COUNT, metavar="N",
                 help="Processes that prepare detectors.  [default: one per core or GPU]"),
    threads_option,
    click.option("--quiet", is_flag=True, help="No progress; only results, warnings and errors."),
]  # fmt: skip


def common_options(command: F) -> F:
    """Add the options that all scans share."""
    for option in reversed(COMMON):
        command = option(command)
    return shared_options(command)


def means(options: dict[str, Any]) -> ExecutionOptions:
    return ExecutionOptions(jobs=options["jobs"], quiet=options["quiet"], threads=options["threads"])


def planned(options: dict[str, Any]) -> Request:
    """Plan only the preparation of detectors."""
    from benchkit.execute.resolve import request
    from benchkit.scan.prepare import plan_detectors

    fixed = {"attacks": "none", "victims": False, "defenses": options["defense"], "seeds": f"{options['seed']},"}
    return request({**dict.fromkeys(NOT_ASKED), **options, **fixed}, plan_detectors)


def emit(text: str, out: Path | None) -> None:
    """Write a result to a file, or to standard output."""
    if out is None:
        hand_out(text)
        return
    from benchkit.scan.prepare import write

    write(out, text.encode())
