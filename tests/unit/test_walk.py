"""What a walk over a plan runs and records, against executors that lose, delay, duplicate and reorder."""

from __future__ import annotations

import pytest
from toy_steps import step
from walk_doubles import FakeExecutor, FakeStore, Silent, cell_record, chain, walked

from benchkit.errors import BenchkitError
from benchkit.execute.executors.base import Outcome
from benchkit.execute.walk import Walk


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("slots", [1, 2, 5])
def test_each_step_runs_once_after_its_parents_in_any_order(seed: int, slots: int) -> None:
    _, executor, walk = walked(seed=seed, slots=slots)
    assert sorted(executor.log) == ["c1a", "c1b", "c2", "d", "t1", "t2"]
    assert not walk.failed


def test_only_what_is_missing_runs() -> None:
    store = FakeStore()
    store.done = {"d", "t1"}
    store.records = {"c1a": cell_record("c1a"), "c2": cell_record("c2", "failed")}
    _, executor, _ = walked(store=store)
    assert sorted(executor.log) == ["c1b", "c2", "t2"]


def test_a_lost_step_is_tried_three_times_in_all() -> None:
    _, executor, walk = walked({"t1": [("lost",), ("lost",)]})
    assert executor.log.count("t1") == 3
    assert not walk.failed
    store, executor, _ = walked({"t1": [("lost",)] * 5})
    assert executor.log.count("t1") == 3
    assert store.records["c1a"].status == "skipped"


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_say_how_often_a_lost_step_is_tried_again(retries: int) -> None:
    store, executor, _ = walked({"t1": [("lost",)] * 9}, retries=retries)
    assert executor.log.count("t1") == 1 + retries
    assert store.records["c1a"].status == "skipped"
    _, executor, walk = walked({"t1": [("lost",)] * retries}, retries=retries)
    assert not walk.failed


def test_a_damaged_parent_is_made_again_whatever_retries_say() -> None:
    store = FakeStore()
    store.done = {"d", "t1", "t2"}
    _, executor, walk = walked({"c1a": [("damaged", "t1")]}, store=store, retries=0)
    assert executor.log.count("t1") == 1
    assert not walk.failed


def test_the_view_is_told_what_will_not_run_again() -> None:
    view = Silent()
    walked({"t1": [("lost",), ("error",)]}, view=view)
    assert sorted(view.dropped_keys) == ["c1a", "c1b", "t1"]


def test_a_failed_step_skips_what_needs_it_and_nothing_else() -> None:
    store, executor, walk = walked({"t1": [("error",)]})
    assert executor.log.count("t1") == 1
    assert {key: record.status for key, record in store.records.items()} == {
        "c1a": "skipped",
        "c1b": "skipped",
        "c2": "ok",
    }
    assert "t1: error!" in store.records["c1a"].error
    assert set(walk.failed) == {"t1", "c1a", "c1b"}


def test_a_timeout_is_recorded_as_one() -> None:
    store, *_ = walked({"c2": [("timeout",)]})
    assert store.records["c2"].status == "timeout"


def test_a_damaged_parent_is_made_again() -> None:
    store = FakeStore()
    store.done = {"d", "t1", "t2"}
    _, executor, walk = walked({"c1a": [("damaged", "t1")]}, store=store)
    assert executor.log.count("t1") == 1
    assert executor.log.count("t2") == 0
    assert not walk.failed


def test_every_parent_that_is_damaged_is_made_again_however_many_there_are() -> None:
    made = chain()
    parents = [f"p{number}" for number in range(5)]
    made.steps |= {key: step("train", key) for key in parents}
    made.steps["c3"], made.cells = step("cell", "c3", parents=parents), ["c3"]
    store = FakeStore()
    store.done = set(parents)
    _, executor, walk = walked({"c3": [("damaged", key) for key in parents]}, store=store, plan=made)
    assert sorted(executor.log) == ["c3"] * 6 + sorted(parents)
    assert not walk.failed


def test_a_parent_that_is_damaged_again_and_again_fails_the_cell() -> None:
    store = FakeStore()
    store.done = {"d", "t1", "t2"}
    _, executor, walk = walked({"c1a": [("damaged", "t1")] * 9}, store=store)
    assert executor.log.count("t1") == 2
    assert "c1a" in walk.failed


def test_out_of_memory_is_tried_once_more_alone() -> None:
    store, executor, walk = walked({"c1a": [("oom",)]}, slots=3)
    assert executor.log.count("c1a") == 2
    assert not walk.failed
    store, *_ = walked({"c1a": [("oom",), ("oom",)]})
    assert store.records["c1a"].status == "failed"


def test_a_fatal_outcome_stops_the_walk_with_its_sentence() -> None:
    with pytest.raises(BenchkitError, match="fatal!"):
        walked({"t1": [("fatal",)]})


def test_an_ok_record_of_another_run_is_not_overwritten_by_a_failure() -> None:
    store = FakeStore()

    class Other(FakeExecutor):
        def wait(self, timeout: float) -> list[Outcome]:
            outcomes = super().wait(timeout)
            if outcomes[0].key == "c2":
                self.store.records["c2"] = cell_record("c2")
            return outcomes

    executor = Other(store, {"c2": [("error",)]})
    walk = Walk(chain(), store, executor, Silent(), lambda *a: pytest.fail("recorded"), lambda record: None)
    walk.run()
    assert store.records["c2"].status == "ok"
