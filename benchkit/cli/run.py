"""benchkit run: execute a plan, and print the matrix."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._options import COUNT, shard_option, shared_options, threads_option
from benchkit.execute.request import EXECUTORS, MOST, RETRIES
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request


def _slots(ctx: click.Context, option: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isdecimal() and len(value) <= 4 and int(value) in range(1, MOST + 1)):
        raise click.BadParameter(f"'{value}' is neither a whole number from 1 on (to {MOST}) nor auto")
    return int(value)


def _seconds(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not value > 0:  # also refuses NaN
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


@click.command("run")
@shared_options
@click.option(
    "--jobs",
    type=COUNT,
    metavar="N",
    help="Worker processes.  [default: one per core, or per GPU]",
)
@threads_option
@click.option(
    "--slots-per-device",
    metavar="N|auto",
    callback=_slots,
    help="Worker processes on each GPU; auto: as many as its memory holds.  [default: 1]",
)
@click.option("--timeout", type=float, callback=_seconds, metavar="S", help="Seconds allowed per step.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=RETRIES,
    show_default=True,
    metavar="N",
    help="How often a step whose process died is tried again.",
)
@shard_option
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="local",
    show_default=True,
    help="What runs the steps: processes of this machine, this process itself (to debug), or a Ray cluster.",
)
@click.option(
    "--ray-address",
    envvar="RAY_ADDRESS",
    metavar="ADDRESS",
    help="The Ray cluster: auto or HOST:PORT.  [default: $RAY_ADDRESS, else a Ray of its own on this machine]",
)
@click.option("--quiet", is_flag=True, help="No progress; only warnings, errors and the matrix.")
def cmd(
    jobs: int | None,
    threads: int | None,
    slots_per_device: Any,
    timeout: float | None,
    retries: int,
    executor: Any,
    ray_address: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Run attacks against defenses and print the matrix.

    Results that exist are taken from the results folder. SUITE is a TOML file with the same options; options on the
    command line override it.

    Ctrl-C finishes the running steps; pressed twice, it stops at once.

    Exit codes: 0 every cell has a result, 1 some failed, 2 usage or configuration, 3 nothing to run, 130 interrupted.
    """
    from benchkit.execute.progress.summary import summary
    from benchkit.execute.request import ExecutionOptions
    from benchkit.execute.run import run

    begun = time.monotonic()
    means = ExecutionOptions(jobs, slots_per_device, timeout, retries, quiet, executor, ray_address, threads)
    asked, done = run(options, means, lambda asked: warn(summary(asked.plan, asked.store, asked.spec, asked.part)))
    code = _print(asked)
    if not quiet:
        warn(done.summary(len(asked.plan.cells), time.monotonic() - begun))
    return code


def _print(asked: Request) -> int:
    """Print the matrix of the request's cells; return the exit code."""
    from benchkit.execute.run import records_of
    from benchkit.report.formats.printing import print_matrix

    records, cells = records_of(asked), len(asked.plan.cells)
    print_matrix(records)
    failed = cells - sum(record.status == "ok" for record in records)
    folder = Path(asked.store.root)
    if failed:
        warn(f"{failed} of {cells} cells failed; their errors are in {folder / 'results'}")
    return 1 if failed else 0
