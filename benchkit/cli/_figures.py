"""What commands that draw share: their options, the steps that are missing, and what these left in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchkit.cli._options import COUNT, shared_options, threads_option
from benchkit.spec.suite import SUITE_KEYS

if TYPE_CHECKING:
    from benchkit.execute.request import Request
    from benchkit.plan.steps import Plan

F = TypeVar("F", bound=Callable[..., Any])
SHOWN_ONCE = ("suite", "defenses", "seeds", "victims", "retune", "population")
"""Shared options that a figure of attacks does not use."""
COMMON = [
    click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE",
                 help="Write the figure here; .png, .svg or .pdf."),
    click.option("--jobs", type=COUNT, metavar="N", help="Worker processes.  [default: one per core or GPU]"),
    threads_option,
    click.option("--quiet", is_flag=True, help="No progress; only warnings and errors."),
]  # fmt: skip


def figure_options(command: F) -> F:
    """Add the options that figures of attacks share."""
    for option in reversed(COMMON):
        command = option(command)
    return shared_options(command)


def computed(lay: Callable[..., Plan], seed: int, options: dict[str, Any]) -> Request:
    """Plan a figure, and run the missing and damaged steps that it is drawn from.

    Args:
        lay: lays out the plan, as ``request`` takes it.
        seed: of everything.
        options: of the command.
    """
    from benchkit.execute.request import ExecutionOptions
    from benchkit.execute.resolve import request
    from benchkit.execute.suitability import say_notes
    from benchkit.store.store import Damaged

    options["attacks"] = options["attacks"] or "all"
    asked = request({**dict.fromkeys((*SUITE_KEYS, "suite")), **options, "seeds": f"{seed},"}, lay)
    means = ExecutionOptions(jobs=options["jobs"], quiet=options["quiet"], threads=options["threads"])
    asked.store.open()
    for key in asked.plan.cells:
        stage = asked.plan.steps[key].job.stage
        if asked.store.has(stage, key):
            with contextlib.suppress(Damaged):  # this deletes the damaged artifact
                asked.store.load(stage, key)
    if not asked.plan.missing(asked.store):
        say_notes(asked)
        return asked
    from benchkit.execute.session import check_models, execute

    check_models(asked)
    return execute(asked, means)[0]


def kept(asked: Request) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each attack whose step has succeeded, with its tensors and what is told beside them."""
    for key in asked.plan.cells:
        job = asked.plan.steps[key].job
        if asked.store.has(job.stage, key):
            yield job.attack, asked.store.load(job.stage, key), asked.store.meta(job.stage, key)["info"]
