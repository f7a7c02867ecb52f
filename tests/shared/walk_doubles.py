"""Doubles that a walk over a plan is tested with: a store, an executor that loses and delays, a view, and a plan."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toy_steps import step

from benchkit.execute.executors.base import Outcome
from benchkit.execute.walk import Walk
from benchkit.plan.job import Job, Stage
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record
from benchkit.store.store import Store

Script = Mapping[str, Iterable[tuple[Any, ...]]]
"""By key the states that its attempts end in, a damaged one with the key of the parent."""


def cell_record(key: str, status: str = "ok", error: str = "") -> Record:
    """Return the record of a cell with this key."""
    names: dict[str, Any] = dict.fromkeys(("dataset", "model", "recipe", "attack", "defense"), "x")
    return Record(key=key, **names, seed=0, poison_rate=0.1, status=status, error=error)


class FakeStore(Store):
    """Knows which keys are done."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.done: set[str] = set()
        self.records: dict[str, Record] = {}

    def has(self, stage: str, key: str) -> bool:
        return key in self.done

    def record(self, cell: Mapping[str, Any]) -> Record | None:
        return self.records.get(cell["key"])

    def write_record(self, record: Record) -> dict[str, Any]:
        self.records[record.key] = record
        return record.to_json()


class FakeExecutor:
    """Runs jobs in a random order; ``script`` maps a key to the states its attempts end in."""

    threads, gpus = 1, 0.0

    def __init__(self, store: FakeStore, script: Script | None = None, slots: int = 3, seed: int = 0) -> None:
        self.store, self.script, self.slots = store, {k: list(v) for k, v in (script or {}).items()}, slots
        self.rng = random.Random(seed)
        self.flying: list[Job] = []
        self.log: list[str] = []
        self.most_with: dict[str, int] = {}

    def submit(self, job: Job) -> str | None:
        self.flying.append(job)
        assert len(self.flying) <= self.slots
        for one in self.flying:
            self.most_with[one.key] = max(self.most_with.get(one.key, 0), len(self.flying))
        return None

    def wait(self, timeout: float) -> list[Outcome]:
        job = self.flying.pop(self.rng.randrange(len(self.flying)))
        key = job.key
        assert all(self.store.has("x", parent) for parent in [ref.key for ref in job.parents.values()]), (
            "a step ran before its parents"
        )
        self.log.append(key)
        state, *value = self.script[key].pop(0) if self.script.get(key) else ("done",)
        if state == "done":
            self.store.done.add(key)
            if job.stage == "cell":
                self.store.records[key] = cell_record(key)
            return [Outcome(key, "done", {})]
        if state == "damaged":
            self.store.done.discard(value[0])
        return [Outcome(key, state, {"key": value[0]} if value else {}, error=f"{state}!")]

    def close(self) -> None:
        pass


class Silent:
    """Remembers what the walk told."""

    def __init__(self) -> None:
        self.dropped_keys: list[str] = []
        self.waited_for: list[int] = []
        self.where: dict[str, str] = {}

    def started(self, step: Step, where: str) -> None:
        self.where[step.key] = where

    def ended(self, step: Step, outcome: Outcome) -> None: ...
    def waiting(self, step: Step, why: str) -> None: ...
    def tick(self) -> None: ...

    def dropped(self, step: Step) -> None:
        self.dropped_keys.append(step.key)

    def stopping(self, steps: int) -> None:
        self.waited_for.append(steps)


def chain() -> Plan:
    """Return data -> (t1, t2) -> cells c1a, c1b (of t1) and c2 (of t2)."""
    made = Plan()

    def add(stage: Stage, key: str, *parents: str) -> None:
        made.steps[key] = step(stage, key, parents=parents, label=key)

    add("data", "d")
    add("train", "t1", "d")
    add("train", "t2", "d")
    for key, parent in (("c1a", "t1"), ("c1b", "t1"), ("c2", "t2")):
        add("cell", key, parent)
    made.cells = ["c1a", "c1b", "c2"]
    return made


def failed(step: Step, status: str, outcome: Outcome) -> Record:
    return cell_record(step.key, status, outcome.error)


def walked(
    script: Script | None = None,
    *,
    slots: int = 3,
    seed: int = 0,
    store: FakeStore | None = None,
    plan: Plan | None = None,
    view: Silent | None = None,
    **more: Any,
) -> tuple[FakeStore, FakeExecutor, Walk]:
    """Walk over a plan; ``more`` goes to the walk."""
    store = store or FakeStore()
    executor = FakeExecutor(store, script, slots, seed)
    walk = Walk(plan or chain(), store, executor, view or Silent(), failed, lambda record: None, **more)
    walk.run()
    return store, executor, walk
