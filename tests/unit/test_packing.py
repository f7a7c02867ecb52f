"""How many workers share a GPU, without one: the memory is what the test says it is."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.process import BaseProcess
from typing import Any, Literal, cast

import pytest
from toy_steps import job

from benchkit.errors import SpecError
from benchkit.execute.executors import launch, local
from benchkit.execute.executors.base import Outcome, State
from benchkit.execute.executors.packing import CONTEXT_MB, Packing
from benchkit.execute.request import ExecutionOptions, Request
from benchkit.execute.session import devices

TOTAL = 10_000.0


class Memory:
    """A GPU of ``TOTAL`` MiB whose workers keep what they took."""

    def __init__(self, peak: float) -> None:
        self.peak = peak

    def outcome(self, workers: int, state: State = "done") -> Outcome:
        free = TOTAL - workers * CONTEXT_MB - (workers - 1) * self.peak
        return Outcome("k", state, {"cost": {"peak_device_mb": self.peak}}, free_device_mb=free)


def grown(
    peak: float, limit: int = 16, awaited: Sequence[str] = ("train",), stage: str = "train", rounds: int = 40
) -> int:
    packing, workers = Packing(limit, awaited), ["cuda:0"]
    for _ in range(rounds):
        change = packing.change("cuda:0", stage, Memory(peak).outcome(len(workers)), workers)
        assert change in (0, 1)
        workers += ["cuda:0"] * change
    return len(workers)


@pytest.mark.parametrize(("peak", "expected"), [(1000, 5), (4000, 1), (3500, 2), (9000, 1), (100, 13)])
def test_workers_are_added_while_their_peaks_fit_the_memory(peak: int, expected: int) -> None:
    assert grown(peak) == expected
    assert expected * (1.2 * peak + CONTEXT_MB) <= TOTAL or expected == 1
    assert (expected + 1) * (1.2 * peak + CONTEXT_MB) > TOTAL


def test_there_are_never_more_workers_than_cores() -> None:
    assert grown(10, limit=4) == 4
    assert grown(10, limit=1) == 1


def test_nothing_is_added_before_the_hungry_steps_were_seen() -> None:
    assert grown(10, stage="data") == 1
    assert grown(10, awaited=(), stage="data", limit=3) == 3


def test_the_worst_step_decides() -> None:
    packing, workers = Packing(16, ["train"]), ["cuda:0"]
    assert packing.change("cuda:0", "train", Memory(1000).outcome(1), workers) == 1
    assert packing.change("cuda:0", "cell", Memory(6000).outcome(1), workers) == 0
    assert packing.change("cuda:0", "train", Memory(1000).outcome(1), workers) == 0


@pytest.mark.parametrize("stage", ["shadows", "population"])
def test_steps_that_take_what_there_is_say_nothing_of_what_others_need(stage: str) -> None:
    packing, workers = Packing(16, ["train"]), ["cuda:0"]
    assert packing.change("cuda:0", stage, Memory(6000).outcome(1), workers) == 0
    assert packing.change("cuda:0", "train", Memory(1000).outcome(1), workers) == 1


def test_memory_that_others_took_meanwhile_counts() -> None:
    packing, workers = Packing(16, ["train"]), ["cuda:0"]
    assert packing.change("cuda:0", "train", Memory(1000).outcome(1), workers) == 1
    crowded = Outcome("k", "done", {"cost": {"peak_device_mb": 1000.0}}, free_device_mb=500.0)
    assert packing.change("cuda:0", "train", crowded, workers * 2) == 0


def test_a_device_that_ran_out_of_memory_gives_a_worker_up_for_good() -> None:
    packing, workers = Packing(16, ["train"]), ["cuda:0", "cuda:0", "cuda:1"]
    assert packing.change("cuda:0", "train", Outcome("k", "oom"), workers) == -1
    assert packing.change("cuda:0", "train", Outcome("k", "oom"), ["cuda:0"]) == 0
    assert packing.change("cuda:0", "train", Memory(10).outcome(1), ["cuda:0"]) == 0
    assert packing.change("cuda:1", "train", Memory(10).outcome(1), ["cuda:0", "cuda:1"]) == 1


def test_failures_and_results_of_other_runs_say_nothing() -> None:
    packing = Packing(16, ["train"])
    assert packing.change("cuda:0", "train", Outcome("k", "error"), ["cuda:0"]) == 0
    assert packing.change("cuda:0", "cell", Outcome("k", "done", {"made": False, "record": {}}), ["cuda:0"]) == 0


class Threaded(local.LocalExecutor):
    """Workers that are threads and need no device: a job's dataset names the state, its images the peak to answer."""

    def _start(self) -> local._Worker:
        taken = [one.device for one in self._workers]
        free = next(one for one in self.devices if taken.count(one) < self.devices.count(one))
        ours, theirs = Pipe()

        def serve() -> None:
            while True:
                try:
                    sent = json.loads(theirs.recv_bytes())
                except EOFError:
                    return
                cost = {"seconds": 0.1, "peak_device_mb": sent["images"]}
                free = None if sent["dataset"] == "error" else TOTAL
                answer = {"state": sent["dataset"], "value": {"made": True, "cost": cost}, "free_device_mb": free}
                theirs.send_bytes(json.dumps(answer).encode())

        threading.Thread(target=serve, daemon=True).start()
        self._workers.append(local._Worker(free, f"{free}/{len(taken)}", cast("BaseProcess", Alive()), ours))
        return self._workers[-1]


class Alive:
    exitcode = None

    def __init__(self) -> None:
        self.sentinel, self._other = os.pipe()

    def kill(self) -> None:
        os.close(self._other)

    def join(self, timeout: float | None = None) -> None:
        os.close(self.sentinel)


def test_the_executor_grows_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.LocalExecutor, "_serve", lambda executor: None)
    monkeypatch.setattr(launch, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    executor = Threaded(["cuda:0"], {}, packing=Packing(4, ["train"]))
    assert executor.setup["threads"] == 2
    seen = []
    for number in range(6):
        state = "oom" if number == 5 else "done"
        executor.submit(job("train", str(number), dataset=state, images=1500))
        assert [one.key for one in executor.wait(5)] == [str(number)]
        seen.append(executor.slots)
    assert seen == [2, 3, 4, 4, 4, 3]
    executor.close()


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threaded]:
    monkeypatch.setattr(local.LocalExecutor, "_serve", lambda executor: None)
    made = Threaded(["cuda:0"] * 3, {})
    yield made
    made.close()


def done_together(executor: Threaded, *states: str) -> list[local._Worker]:
    """Run a job of each state, all at once; return the workers that are left."""
    for number, state in enumerate(states):
        executor.submit(job("cell", str(number), dataset=state, images=1))
    ended: list[Outcome] = []
    while len(ended) < len(states):
        ended += executor.wait(5)
    return list(executor._workers)


def test_a_worker_whose_gpu_no_longer_answers_gets_no_other_job(executor: Threaded) -> None:
    kept = done_together(executor, "done", "error", "done")
    assert len(kept) == 2
    assert done_together(executor, "done", "done") == kept
    assert done_together(executor, "error") == kept[1:]


def test_a_step_alone_after_memory_ran_out_finds_the_gpu_without_idle_workers(executor: Threaded) -> None:
    assert len(done_together(executor, "done", "oom", "done")) == 2
    (alone,) = done_together(executor, "done")
    assert done_together(executor, "done") == [alone]
    assert len(done_together(executor, "done", "done")) == 2


def asked(*devices: str) -> Request:
    nothing: Any = None
    return Request(nothing, nothing, nothing, nothing, nothing, list(devices), ())


@pytest.mark.parametrize(
    ("there", "means", "expected"),
    [
        (["cuda:0"], ExecutionOptions(), ["cuda:0"]),
        (["cuda:0", "cuda:1"], ExecutionOptions(), ["cuda:0", "cuda:1"]),
        (["cuda:0"], ExecutionOptions(jobs=3), ["cuda:0"] * 3),
        (["cuda:0", "cuda:1"], ExecutionOptions(slots_per_device=2), ["cuda:0", "cuda:1"] * 2),
        (["cuda:0", "cuda:1"], ExecutionOptions(slots_per_device=2, jobs=3), ["cuda:0", "cuda:1", "cuda:0"]),
        (["cuda:0", "cuda:1"], ExecutionOptions(slots_per_device="auto"), ["cuda:0", "cuda:1"]),
        (["cuda:0", "cuda:1"], ExecutionOptions(slots_per_device="auto", jobs=1), ["cuda:0"]),
        (["cpu"], ExecutionOptions(jobs=3), ["cpu"] * 3),
    ],
)
def test_where_workers_run_at_the_start(there: list[str], means: ExecutionOptions, expected: list[str]) -> None:
    assert devices(asked(*there), means) == expected


@pytest.mark.parametrize("slots", [1, "auto"])
def test_a_cpu_has_jobs_not_slots(slots: int | Literal["auto"]) -> None:
    with pytest.raises(SpecError, match="--jobs"):
        devices(asked("cpu"), ExecutionOptions(slots_per_device=slots))


def test_a_cpu_has_one_worker_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchkit.execute.session.cores", lambda: 5)
    assert devices(asked("cpu"), ExecutionOptions()) == ["cpu"] * 5
