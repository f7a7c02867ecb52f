"""Doubles that a walk over a plan is tested with: a store, an executor that loses and delays, a view, and a plan."""

from __future__ import annotations

import random

from benchkit.execute.executors.base import Outcome
from benchkit.execute.walk import Walk
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record


def cell_record(key, status="ok", error=""):
    """Return the record of a cell with this key."""
    names = dict.fromkeys(("dataset", "model", "recipe", "attack", "defense"), "x")
    return Record(key=key, **names, seed=0, poison_rate=0.1, status=status, error=error)


class FakeStore:
    """Knows which keys are done."""

    def __init__(self):
        self.done = set()
        self.records = {}

    def has(self, stage, key):
        return key in self.done

    def record(self, job):
        return self.records.get(job["key"])

    def write_record(self, record):
        self.records[record.key] = record


class FakeExecutor:
    """Runs jobs in a random order; ``script`` maps a key to the states its attempts end in."""

    def __init__(self, store, script=None, slots=3, seed=0):
        self.store, self.script, self.slots = store, {k: list(v) for k, v in (script or {}).items()}, slots
        self.flying, self.log, self.rng = [], [], random.Random(seed)
        self.most_with = {}

    def submit(self, job):
        self.flying.append(job)
        assert len(self.flying) <= self.slots
        for one in self.flying:
            self.most_with[one["key"]] = max(self.most_with.get(one["key"], 0), len(self.flying))

    def wait(self, timeout):
        job = self.flying.pop(self.rng.randrange(len(self.flying)))
        key = job["key"]
        assert all(self.store.has("x", parent) for parent in job["needs"]), "a step ran before its parents"
        self.log.append(key)
        state, *value = (self.script.get(key) or ["done"]).pop(0) if self.script.get(key) else ("done",)
        if state == "done":
            self.store.done.add(key)
            if job["stage"] == "cell":
                self.store.records[key] = cell_record(key)
            return [Outcome(key, "done", {})]
        if state == "damaged":
            self.store.done.discard(value[0])
        return [Outcome(key, state, {"key": value[0]} if value else {}, error=f"{state}!")]

    def close(self):
        pass


class Silent:
    def __init__(self):
        self.dropped_keys, self.waited_for, self.where = [], [], {}

    def started(self, step, where):
        self.where[step.key] = where

    def ended(self, step, outcome): ...
    def tick(self): ...

    def dropped(self, step):
        self.dropped_keys.append(step.key)

    def stopping(self, steps):
        self.waited_for.append(steps)


def chain():
    """data -> (t1, t2) -> cells c1a, c1b (of t1) and c2 (of t2)."""
    made = Plan()

    def add(stage, key, *parents):
        steps = {str(i): (made.steps[p].stage, p) for i, p in enumerate(parents)}
        job = {"key": key, "stage": stage, "needs": parents}
        made.steps[key] = Step(stage, key, steps, job, key)

    add("data", "d")
    add("train", "t1", "d")
    add("train", "t2", "d")
    for key, parent in (("c1a", "t1"), ("c1b", "t1"), ("c2", "t2")):
        add("cell", key, parent)
    made.cells = ["c1a", "c1b", "c2"]
    return made


def walked(script=None, slots=3, seed=0, store=None, **more):
    store = store or FakeStore()
    executor = FakeExecutor(store, script, slots, seed)
    made = more.pop("plan", None) or chain()

    def failed(step, status, outcome):
        return cell_record(step.key, status, outcome.error)

    walk = Walk(made, store, executor, more.pop("view", Silent()), failed, lambda record: None, **more)
    walk.run()
    return store, executor, walk
