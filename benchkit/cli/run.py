"""benchkit run: do what a plan says, and print the matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._options import shared_options

if TYPE_CHECKING:
    from benchkit.execute.request import Request


@click.command("run")
@shared_options
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Worker processes.  [default: one per core, or per GPU]",
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds allowed per step.")
@click.option("--quiet", is_flag=True, help="No progress; only warnings, errors and the matrix.")
def cmd(jobs: int | None, timeout: float | None, quiet: bool, **options: Any) -> int:
    """Run attacks against defenses and print the matrix.

    Everything that was computed before is taken from the results folder. SUITE is a TOML file with the same
    options; options on the command line win.

    Exit codes: 0 every cell is there, 1 some failed, 2 usage or configuration, 3 nothing to run, 130 interrupted.
    """
    from benchkit.cli._options import request
    from benchkit.cli._summary import summary

    asked = request(options)
    missing = bool(asked.plan.missing(asked.store))
    if missing:
        from benchkit.execute.session import check_models, execute

        check_models(asked)
    asked.store.open()
    click.echo(summary(asked.plan, asked.store, asked.spec), err=True)
    if missing:
        asked = execute(asked, jobs, timeout, quiet)
    return _print(asked)


def _print(asked: Request) -> int:
    """Print the matrix of this request's cells; return the exit code."""
    from benchkit.report import print_matrix

    found = [asked.store.record(asked.plan.steps[key].job) for key in asked.plan.cells]
    records = [record for record in found if record is not None]
    print_matrix(records)
    failed = len(found) - sum(record["status"] == "ok" for record in records)
    folder = Path(asked.store.root)
    if failed:
        click.echo(f"{failed} of {len(found)} cells failed; their errors are in {folder / 'results'}", err=True)
    return 1 if failed else 0
