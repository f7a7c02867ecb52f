"""benchkit plan: what a run would do, without doing it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._options import shard_option, shared_options
from benchkit.text import say

if TYPE_CHECKING:
    from benchkit.execute.request import Request
    from benchkit.plan.steps import Step

STAGES = (
    *("data", "poison", "craft", "train", "judge", "retune", "shadows", "prepare", "fit", "score"),
    *("population", "audit", "cell"),
)


@click.command("plan")
@shared_options
@shard_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cmd(as_json: bool, **options: Any) -> None:
    """Print what a run would do: the product, the steps, and which of them are stored or missing."""
    from benchkit.execute.progress.summary import summary
    from benchkit.execute.run import planned

    asked = planned(options)
    if as_json:
        say(json.dumps(_told(asked), indent=1))
        return
    missing = asked.plan.missing(asked.store)
    say(summary(asked.plan, asked.store, asked.spec, asked.part))
    if missing:
        say(_duration(asked, missing))
    total = Counter[str](step.stage for step in asked.plan.steps.values())
    cached = Counter[str](step.stage for step in asked.plan.steps.values() if asked.plan.done(step, asked.store))
    todo = Counter[str](step.stage for step in missing.values())
    rows = [(stage, total[stage], cached[stage], todo[stage]) for stage in STAGES if total[stage]]
    say(_table(rows))
    for component in (*asked.spec.attacks, *asked.spec.defenses, *asked.spec.datasets):
        if told := _assumptions(component):
            say(f"  {component}: {told}")


def _duration(asked: Request, missing: Mapping[str, Step]) -> str:
    """Return how long the missing steps will take, by what such steps took in this results folder."""
    from benchkit.execute.executors.launch import cores
    from benchkit.execute.progress.history import History
    from benchkit.execute.progress.progress import Progress

    slots = cores() if asked.devices == ["cpu"] else len(asked.devices)
    progress = Progress(History(asked.store, asked.devices[0]))
    progress.expect(missing)
    workers = f"{slots} worker{'' if slots == 1 else 's'}"
    if any(progress.history.guess(step) is not None for step in missing.values()):
        took = progress.eta(slots).removesuffix(" left") or "less than a second"
        return f"{took} with {workers}, by what such steps took here before"
    return f"how long that takes is not known here: no such step has run into {asked.store.root} on this machine"


def _told(asked: Request) -> dict[str, Any]:
    """Return the plan as JSON: the request, and each step with its state (done, to-run, not-needed)."""
    made, spec, missing = asked.plan, asked.spec, asked.plan.missing(asked.store)

    def state(step: Step) -> str:
        return "to-run" if step.key in missing else "done" if made.done(step, asked.store) else "not-needed"

    return {
        "attacks": [{"name": str(one), "assumes": _assumptions(one)} for one in spec.attacks],
        "defenses": [{"name": str(one), "assumes": _assumptions(one)} for one in spec.defenses],
        "datasets": list(map(str, spec.datasets)),
        "models": list(spec.models),
        "seeds": list(spec.seeds),
        "poison_rates": list(spec.poison_rates),
        "recipe": str(spec.recipe),
        "population": spec.population,
        "retune": spec.retune,
        "shard": asked.part or None,
        "cells": len(made.cells),
        "cells_done": sum(key not in missing for key in made.cells),
        "steps": [
            {"stage": step.stage, "key": step.key, "of": step.label, "state": state(step)}
            for step in made.steps.values()
        ],
    }


def _table(rows: list[tuple[str, int, int, int]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=("stage", "steps", "cached", "to run"))


def _assumptions(component: Any) -> str:
    from benchkit.cli.show import assumptions

    return assumptions(type(component), component)
