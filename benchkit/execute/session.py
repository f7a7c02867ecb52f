"""One execution from start to end: check the models, decode the data, check the images, walk the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from benchkit.errors import BenchkitError
from benchkit.execute.executor import Outcome
from benchkit.execute.fit import fitted
from benchkit.execute.local import LocalExecutor, cores
from benchkit.execute.records import describe
from benchkit.execute.view import make_view
from benchkit.execute.walk import View, Walk
from benchkit.plan import Plan, Step
from benchkit.spec import component
from benchkit.store import Record

if TYPE_CHECKING:
    from benchkit.execute.request import Request


def execute(asked: Request, jobs: int | None, timeout: float | None, quiet: bool) -> Request:
    """Run what is missing of a request; return it without what the images ruled out.

    Raises:
        BenchkitError: when the request cannot be run; cells that fail are records instead.
    """
    executor = LocalExecutor(_slots(asked, jobs), _setup(asked), timeout)
    try:
        with make_view(asked.plan, asked.store, executor.slots, quiet) as view:
            _load_data(asked, executor, view)
            asked = fitted(asked)
            _walk(asked, asked.plan, executor, view)
    finally:
        executor.close()
    return asked


def _slots(asked: Request, jobs: int | None) -> list[str]:
    """Return one device name per worker: a CPU has as many slots as cores, a GPU one, unless told otherwise."""
    if asked.devices == ["cpu"]:
        return ["cpu"] * (jobs or cores())
    count = jobs or len(asked.devices)
    return [asked.devices[index % len(asked.devices)] for index in range(count)]


def _setup(asked: Request) -> dict[str, Any]:
    return {
        "results": str(asked.store.root.resolve()),
        "data_root": str(asked.source.root),
        "download": asked.source.download,
        "plugin_files": list(asked.plugin_files),
    }


def check_models(asked: Request) -> None:
    """Refuse unknown models before anything runs.

    Raises:
        SpecError: naming the first that nobody knows.
    """
    if not any(step.stage == "train" for step in asked.plan.missing(asked.store).values()):
        return
    from benchkit.models import require_known

    hook = asked.registry.manager.hook.benchkit_model
    for name in asked.spec.models:
        require_known(name, hook)


def _load_data(asked: Request, executor: LocalExecutor, view: View) -> None:
    """Decode the datasets first, so that a missing one stops the run at once."""
    steps = {step.job["dataset"]: step for step in asked.plan.of("data")}
    only = Plan(asked.plan.steps, [step.key for step in steps.values()])
    failed = _walk(asked, only, executor, view)
    for key, error in failed.items():
        raise BenchkitError(f"could not {asked.plan.steps[key].label}: {error}")


def _walk(asked: Request, plan: Plan, executor: LocalExecutor, view: View) -> dict[str, str]:
    """Walk a plan; return the steps that failed with their errors."""
    walk = Walk(plan, asked.store, executor, view, _failed_record(asked), _observers(asked))
    walk.run()
    return walk.failed


def _failed_record(asked: Request) -> Callable[[Step, str, Outcome], Record]:
    def make(step: Step, status: str, outcome: Outcome) -> Record:
        attack = component(step.job["attack"], "attacks", asked.registry)
        defense = component(step.job["defense"], "defenses", asked.registry)
        record = describe(step.job, attack, defense)
        return record | {"status": status, "error": outcome.error, "traceback": outcome.trace or None}

    return make


def _observers(asked: Request) -> Callable[[Record], None]:
    """Return what tells every observer plugin of a finished cell; an observer's exception is reported, no more."""

    def tell(record: Record) -> None:
        for observer in asked.registry.manager.hook.benchkit_cell_finished.get_hookimpls():
            try:
                observer.function(record=record)
            except Exception as error:
                click.echo(f"warning: {observer.plugin_name} raised {type(error).__name__}: {error}", err=True)

    return tell
