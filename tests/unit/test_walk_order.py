"""When a walk over a plan begins what: which step comes first, on how many slots, and what a stop leaves undone."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from toy_steps import step
from walk_doubles import FakeExecutor, FakeStore, Silent, chain, failed, walked

from benchkit.execute.executors.base import Outcome
from benchkit.execute.walk import Walk
from benchkit.plan.job import Job
from benchkit.plan.steps import Plan


def test_a_stopped_walk_finishes_what_it_began_and_starts_nothing_new() -> None:
    view, store = Silent(), FakeStore()
    stopped = {"now": False}

    class Pressed(FakeExecutor):
        def submit(self, job: Job) -> None:
            super().submit(job)
            stopped["now"] = job.key == "t2"

    executor = Pressed(store, {"t1": [("lost",)]}, slots=3)
    walk = Walk(chain(), store, executor, view, failed, lambda record: None, stopped=lambda: stopped["now"])
    with pytest.raises(KeyboardInterrupt):
        walk.run()
    assert view.waited_for == [2]
    assert sorted(executor.log) == ["d", "t1", "t2"], "the lost step was tried again, or a cell was begun"
    assert store.done == {"d", "t2"}


def test_a_walk_that_is_stopped_before_it_begins_runs_nothing() -> None:
    with pytest.raises(KeyboardInterrupt):
        walked(stopped=lambda: True)


def order_of(seconds: Mapping[str, float], plan: Plan | None = None) -> list[str]:
    _, executor, _ = walked(slots=1, expected=lambda step: seconds.get(step.key), plan=plan)
    return executor.log


def test_a_victim_that_was_begun_is_finished_first_and_the_longest_begins() -> None:
    assert order_of({}) == ["d", "t1", "c1a", "c1b", "t2", "c2"]
    assert order_of({"t1": 5, "t2": 9}) == ["d", "t2", "c2", "t1", "c1a", "c1b"]
    assert order_of({"t1": 9, "t2": 5, "c1a": 1, "c1b": 2}) == ["d", "t1", "c1b", "c1a", "t2", "c2"]


def test_a_victim_for_which_much_waits_comes_before_one_that_takes_as_long() -> None:
    made = chain()
    made.steps |= {"x": step("craft", "x", parents=["t2"]), "cx": step("cell", "cx", parents=["x"])}
    made.cells.append("cx")
    assert order_of({"t1": 5, "t2": 5}, made)[1] == "t1"
    assert order_of({"t1": 5, "t2": 5, "x": 60}, made)[1] == "t2"


@pytest.mark.parametrize("seed", range(10))
def test_no_expectation_changes_what_runs(seed: int) -> None:
    rng = random.Random(seed)
    expected = {key: rng.choice([None, 0.0, rng.random() * 100]) for key in chain().steps}
    store, executor, walk = walked(slots=2, seed=seed, expected=lambda step: expected[step.key])
    assert sorted(executor.log) == ["c1a", "c1b", "c2", "d", "t1", "t2"]
    assert not walk.failed
    assert set(store.records) == {"c1a", "c1b", "c2"}


def test_a_walk_uses_slots_that_are_added_and_names_them() -> None:
    class Growing(FakeExecutor):
        def submit(self, job: Job) -> str:
            super().submit(job)
            return f"gpu/{len(self.flying)}"

        def wait(self, timeout: float) -> list[Outcome]:
            self.slots = 2
            return super().wait(timeout)

    view, store = Silent(), FakeStore()
    executor = Growing(store, slots=1)
    Walk(chain(), store, executor, view, failed, lambda record: None).run()
    assert executor.most_with["d"] == 1
    assert executor.most_with["t1"] == 2
    assert view.where["d"] == "gpu/1"
