"""Runs planned by benchkit itself and walked in this process, so that no start-up of workers is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchkit.contracts.data import Source
from benchkit.execute.executors.base import Executor, Outcome
from benchkit.execute.executors.inline import InlineExecutor
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.execute.walk import Walk
from benchkit.plan.job import Job
from benchkit.plan.planner import plan
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import Spec, make
from benchkit.store.store import Store

OPTIONS: dict[str, str | bool] = {**DEFAULTS, **CPU_DEFAULTS, "attacks": "none", "datasets": "scenes"}


def asked(registry: Registry | None = None, **options: str) -> Spec:
    """Return a spec, as the command line makes it."""
    return make({**OPTIONS, **options}, registry or load())


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


class Here(InlineExecutor):
    """Runs each step in this process, on the CPU; ``seconds`` holds the CPU time of each, by key.

    It computes with as many threads as this process does: more would add the time in which they wait for each other.
    """

    def __init__(self, results: Path, plugin_files: Sequence[str] = ()) -> None:
        super().__init__(Store(results), load(plugin_files), Source(Path()), threads=torch.get_num_threads())
        self.seconds: dict[str, float] = {}

    def wait(self, timeout: float) -> list[Outcome]:
        """Run the job."""
        before = time.process_time()
        ended = super().wait(timeout)
        self.seconds |= {outcome.key: time.process_time() - before for outcome in ended}
        return ended


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
    made: Plan, store: Store, executor: Executor, finished: Callable[[dict[str, Any]], None] = lambda _: None
) -> None:
    """Walk a plan, and close the executor.

    Raises:
        RuntimeError: when a step fails: what took how long would mean nothing.
    """

    def fail(step: Step, status: str, outcome: Outcome) -> Record:
        raise RuntimeError(f"{step.label}: {status}, {outcome.error}")

    one = Walk(made, store, executor, Silent(), fail, finished)
    try:
        one.run()
    finally:
        executor.close()
    if one.failed:
        raise RuntimeError(f"steps failed: {list(one.failed.values())[:3]}")
