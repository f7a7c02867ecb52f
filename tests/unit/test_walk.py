"""The walk over a plan, against executors that lose, delay, duplicate and reorder."""

from __future__ import annotations

import random

import pytest

from benchkit.errors import BenchkitError
from benchkit.execute.executor import Outcome
from benchkit.execute.walk import Walk
from benchkit.steps import Plan, Step


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
        self.records[record["key"]] = record


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
                self.store.records[key] = {"key": key, "status": "ok"}
            return [Outcome(key, "done", {})]
        if state == "damaged":
            self.store.done.discard(value[0])
        return [Outcome(key, state, error=f"{state}!")]

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
        return {"key": step.key, "status": status, "error": outcome.error}

    walk = Walk(made, store, executor, more.pop("view", Silent()), failed, lambda record: None, **more)
    walk.run()
    return store, executor, walk


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("slots", [1, 2, 5])
def test_each_step_runs_once_after_its_parents_in_any_order(seed, slots):
    _, executor, walk = walked(seed=seed, slots=slots)
    assert sorted(executor.log) == ["c1a", "c1b", "c2", "d", "t1", "t2"]
    assert not walk.failed


def test_only_what_is_missing_runs():
    store = FakeStore()
    store.done = {"d", "t1"}
    store.records = {"c1a": {"key": "c1a", "status": "ok"}, "c2": {"key": "c2", "status": "failed"}}
    _, executor, _ = walked(store=store)
    assert sorted(executor.log) == ["c1b", "c2", "t2"]


def test_a_lost_step_is_tried_three_times_in_all():
    _, executor, walk = walked({"t1": [("lost",), ("lost",)]})
    assert executor.log.count("t1") == 3
    assert not walk.failed
    store, executor, _ = walked({"t1": [("lost",)] * 5})
    assert executor.log.count("t1") == 3
    assert store.records["c1a"]["status"] == "skipped"


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_say_how_often_a_lost_step_is_tried_again(retries):
    store, executor, _ = walked({"t1": [("lost",)] * 9}, retries=retries)
    assert executor.log.count("t1") == 1 + retries
    assert store.records["c1a"]["status"] == "skipped"
    _, executor, walk = walked({"t1": [("lost",)] * retries}, retries=retries)
    assert not walk.failed


def test_a_damaged_parent_is_made_again_whatever_retries_say():
    store = FakeStore()
    store.done = {"d", "t1", "t2"}
    _, executor, walk = walked({"c1a": [("damaged", "t1")]}, store=store, retries=0)
    assert executor.log.count("t1") == 1
    assert not walk.failed


def test_the_view_is_told_what_will_not_run_again():
    view = Silent()
    walked({"t1": [("lost",), ("error",)]}, view=view)
    assert sorted(view.dropped_keys) == ["c1a", "c1b", "t1"]


def test_a_stopped_walk_finishes_what_it_began_and_starts_nothing_new():
    view, store = Silent(), FakeStore()
    stopped = {"now": False}

    class Pressed(FakeExecutor):
        def submit(self, job):
            super().submit(job)
            stopped["now"] = job["key"] == "t2"

    executor = Pressed(store, {"t1": [("lost",)]}, slots=3)
    walk = Walk(chain(), store, executor, view, None, None, stopped=lambda: stopped["now"])
    with pytest.raises(KeyboardInterrupt):
        walk.run()
    assert view.waited_for == [2]
    assert sorted(executor.log) == ["d", "t1", "t2"], "the lost step was tried again, or a cell was begun"
    assert store.done == {"d", "t2"}


def test_a_walk_that_is_stopped_before_it_begins_runs_nothing():
    with pytest.raises(KeyboardInterrupt):
        walked(stopped=lambda: True)


def order_of(seconds, plan=None):
    _, executor, _ = walked(slots=1, expected=lambda step: seconds.get(step.key), plan=plan)
    return executor.log


def test_a_victim_that_was_begun_is_finished_first_and_the_longest_begins():
    assert order_of({}) == ["d", "t1", "c1a", "c1b", "t2", "c2"]
    assert order_of({"t1": 5, "t2": 9}) == ["d", "t2", "c2", "t1", "c1a", "c1b"]
    assert order_of({"t1": 9, "t2": 5, "c1a": 1, "c1b": 2}) == ["d", "t1", "c1b", "c1a", "t2", "c2"]


def test_a_victim_for_which_much_waits_comes_before_one_that_takes_as_long():
    made = chain()
    craft = Step("craft", "x", {"victim": ("train", "t2")}, {"key": "x", "stage": "craft", "needs": ["t2"]}, "x")
    cell = Step("cell", "cx", {"craft": ("craft", "x")}, {"key": "cx", "stage": "cell", "needs": ["x"]}, "cx")
    made.steps |= {"x": craft, "cx": cell}
    made.cells.append("cx")
    assert order_of({"t1": 5, "t2": 5}, made)[1] == "t1"
    assert order_of({"t1": 5, "t2": 5, "x": 60}, made)[1] == "t2"


@pytest.mark.parametrize("seed", range(10))
def test_no_expectation_changes_what_runs(seed):
    rng = random.Random(seed)
    expected = {key: rng.choice([None, 0.0, rng.random() * 100]) for key in chain().steps}
    store, executor, walk = walked(slots=2, seed=seed, expected=lambda step: expected[step.key])
    assert sorted(executor.log) == ["c1a", "c1b", "c2", "d", "t1", "t2"]
    assert not walk.failed
    assert set(store.records) == {"c1a", "c1b", "c2"}


def test_a_walk_uses_slots_that_are_added_and_names_them():
    class Growing(FakeExecutor):
        def submit(self, job):
            super().submit(job)
            return f"gpu/{len(self.flying)}"

        def wait(self, timeout):
            self.slots = 2
            return super().wait(timeout)

    view, store = Silent(), FakeStore()
    executor = Growing(store, slots=1)
    Walk(chain(), store, executor, view, None, lambda record: None).run()
    assert executor.most_with["d"] == 1
    assert executor.most_with["t1"] == 2
    assert view.where["d"] == "gpu/1"


def test_a_failed_step_skips_what_needs_it_and_nothing_else():
    store, executor, walk = walked({"t1": [("error",)]})
    assert executor.log.count("t1") == 1
    assert {key: record["status"] for key, record in store.records.items()} == {
        "c1a": "skipped",
        "c1b": "skipped",
        "c2": "ok",
    }
    assert "t1: error!" in store.records["c1a"]["error"]
    assert set(walk.failed) == {"t1", "c1a", "c1b"}


def test_a_timeout_is_recorded_as_one():
    store, *_ = walked({"c2": [("timeout",)]})
    assert store.records["c2"]["status"] == "timeout"


def test_a_damaged_parent_is_made_again():
    store = FakeStore()
    store.done = {"d", "t1", "t2"}
    _, executor, walk = walked({"c1a": [("damaged", "t1")]}, store=store)
    assert executor.log.count("t1") == 1
    assert executor.log.count("t2") == 0
    assert not walk.failed


def test_out_of_memory_is_tried_once_more_alone():
    store, executor, walk = walked({"c1a": [("oom",)]}, slots=3)
    assert executor.log.count("c1a") == 2
    assert not walk.failed
    store, *_ = walked({"c1a": [("oom",), ("oom",)]})
    assert store.records["c1a"]["status"] == "failed"


def test_a_fatal_outcome_stops_the_walk_with_its_sentence():
    with pytest.raises(BenchkitError, match="fatal!"):
        walked({"t1": [("fatal",)]})


def test_an_ok_record_of_another_run_is_not_overwritten_by_a_failure():
    store = FakeStore()

    class Other(FakeExecutor):
        def wait(self, timeout):
            outcomes = super().wait(timeout)
            if outcomes[0].key == "c2":
                self.store.records["c2"] = {"key": "c2", "status": "ok"}
            return outcomes

    executor = Other(store, {"c2": [("error",)]})
    walk = Walk(chain(), store, executor, Silent(), lambda *a: pytest.fail("recorded"), lambda record: None)
    walk.run()
    assert store.records["c2"]["status"] == "ok"
