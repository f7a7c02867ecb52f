"""benchkit plan: what a run would do, without doing it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from benchkit.cli._options import shard_option, shared_options

STAGES = ("data", "poison", "craft", "train", "judge", "shadows", "prepare", "population", "audit", "cell")


@click.command("plan")
@shared_options
@shard_option
def cmd(**options: Any) -> None:
    """Print what a run would do: the product, the steps, what is cached and what is missing."""
    from benchkit.cli._options import request
    from benchkit.cli._summary import summary

    asked = request(options)
    missing = asked.plan.missing(asked.store)
    click.echo(summary(asked.plan, asked.store, asked.spec, asked.part))
    total = Counter(step.stage for step in asked.plan.steps.values())
    cached = Counter(step.stage for step in asked.plan.steps.values() if asked.plan.done(step, asked.store))
    todo = Counter(step.stage for step in missing.values())
    rows = [(stage, total[stage], cached[stage], todo[stage]) for stage in STAGES if total[stage]]
    click.echo(_table(rows))
    for component in (*asked.spec.attacks, *asked.spec.defenses):
        click.echo(f"  {component}: {_assumptions(component)}")


def _table(rows: list[tuple[str, int, int, int]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=("stage", "steps", "cached", "to run"))


def _assumptions(component: Any) -> str:
    from benchkit.cli.show import assumptions

    return assumptions(type(component), component)
