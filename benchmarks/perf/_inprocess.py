"""Runs planned by benchkit itself and walked in this process, so that no start-up of workers is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchkit.contracts.data import Source
from benchkit.execute.executors.base import Outcome
from benchkit.execute.executors.worker import make_workspace, outcome_of
from benchkit.execute.walk import Walk
from benchkit.plan.job import Job
from benchkit.plan.planner import plan
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import Spec, make
from benchkit.store.store import Store

DEFAULTS: dict[str, str | bool] = {
    "attacks": "none",
    "defenses": "",
    "datasets": "scenes",
    "models": "narrownet",
    "seeds": "0,",
    "poison_rate": "0.1",
    "recipe": "fast",
    "victims": True,
    "population": "0",
}


def asked(registry: Registry | None = None, **options: str) -> Spec:
    """Return a spec, as the command line makes it."""
    return make({**DEFAULTS, **options}, registry or load())


def planned(spec: Spec) -> Plan:
    """Lay a spec out."""
    source = Source(Path())
    return plan(spec, {dataset: dataset.fingerprint(source) for dataset in spec.sources()})


class Nothing:
    """An executor whose steps end at once, having done nothing."""

    slots, threads, gpus = 2, 1, 0.0

    def __init__(self) -> None:
        self.flying: list[str] = []

    def submit(self, job: Job) -> str | None:
        """Take a job."""
        self.flying.append(job.key)
        return None

    def wait(self, timeout: float) -> list[Outcome]:
        """Say that it is done."""
        return [Outcome(self.flying.pop(0), "done")]

    def close(self) -> None:
        """Do nothing."""


class Here(Nothing):
    """An executor that runs each step in this process, on the CPU; ``seconds`` holds the CPU time of each, by key."""

    slots = 1

    def __init__(self, results: Path, plugin_files: Sequence[str] = ()) -> None:
        super().__init__()
        files = list(plugin_files)
        setup = {"results": str(results), "device": "cpu", "data_root": ".", "download": False, "plugin_files": files}
        self.workspace = make_workspace(setup)
        self.jobs: list[Job] = []
        self.seconds: dict[str, float] = {}

    def submit(self, job: Job) -> str | None:
        """Take a job."""
        self.jobs.append(job)
        return None

    def wait(self, timeout: float) -> list[Outcome]:
        """Run the job."""
        job = self.jobs.pop()
        before = time.process_time()
        outcome = outcome_of(self.workspace, job)
        self.seconds[job.key] = time.process_time() - before
        return [Outcome(job.key, **outcome)]


class Silent:
    """A view that shows nothing."""

    def started(self, step: Step, where: str) -> None:
        """Show nothing."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Show nothing."""

    def waiting(self, step: Step, why: str) -> None:
        """Show nothing."""

    def dropped(self, step: Step) -> None:
        """Show nothing."""

    def tick(self) -> None:
        """Show nothing."""

    def stopping(self, steps: int) -> None:
        """Show nothing."""


def walk(
    made: Plan, store: Store, executor: Nothing, finished: Callable[[dict[str, Any]], None] = lambda _: None
) -> None:
    """Walk a plan.

    Raises:
        RuntimeError: when a step fails: what took how long would mean nothing.
    """

    def fail(step: Step, status: str, outcome: Outcome) -> Record:
        raise RuntimeError(f"{step.label}: {status}, {outcome.error}")

    one = Walk(made, store, executor, Silent(), fail, finished)
    one.run()
    if one.failed:
        raise RuntimeError(f"steps failed: {list(one.failed.values())[:3]}")
