"""The walk over a plan: ready, repeated and failed steps. It is the same for every executor."""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchkit.errors import BenchkitError
from benchkit.execute.executors.base import Executor, Outcome
from benchkit.execute.order import Expected, Rank, ranks
from benchkit.execute.progress.view import ProgressView
from benchkit.execute.request import RETRIES
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record
from benchkit.store.store import Store

REPAIRS = 2
"""How often a step may find the same parent damaged; it is made again each time."""
STATUS = {"error": "failed", "oom": "failed", "lost": "failed", "timeout": "timeout"}
HEARTBEAT = 0.5


class Walk:
    """One execution of the missing steps of a plan.

    Args:
        failed_record: makes the record of a cell that failed.
        finished: receives each record, as JSON, after it was written.
        retries: how often a step whose process died is repeated.
        expected: the seconds that a step will take, or None; it affects only the order, never a result.
        stopped: returns whether to start no new steps.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        view: ProgressView,
        failed_record: Callable[[Step, str, Outcome], Record],
        finished: Callable[[dict[str, Any]], None],
        retries: int = RETRIES,
        expected: Expected = lambda step: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.plan, self.store, self.executor, self.view = plan, store, executor, view
        self.failed_record, self.finished = failed_record, finished
        self.allowed = {"lost": retries, "damaged": REPAIRS}
        self.stopped = stopped
        self.order = ranks(plan, expected)
        self.unmet: dict[str, set[str]] = {}
        self.children: dict[str, set[str]] = defaultdict(set)
        self.ready: list[tuple[Rank, str]] = []
        self.flying: dict[str, float] = {}
        self.tries: Counter[tuple[str, str, str]] = Counter()
        self.failed: dict[str, str] = {}
        self.alone: set[str] = set()

    def run(self) -> None:
        """Run all missing steps; failed cells become records.

        Raises:
            BenchkitError: if an outcome is fatal; running steps are abandoned.
            KeyboardInterrupt: if it was stopped, after the running steps have ended.
        """
        for key in self.plan.missing(self.store):
            self.require(key)
        while (self.ready or self.flying) and not self.stopped():
            self.fill()
            if not self.stopped():
                self.collect()
        if self.stopped():
            self.finish()

    def finish(self) -> None:
        """Wait for the running steps, then raise KeyboardInterrupt."""
        if self.flying:
            self.view.stopping(len(self.flying))
        while self.flying:
            self.collect()
        raise KeyboardInterrupt

    def collect(self) -> None:
        """Wait a moment for steps to end, and handle their outcomes."""
        outcomes = self.executor.wait(HEARTBEAT)
        for outcome in outcomes:
            step = self.plan.steps[outcome.key]
            if outcome.state == "waiting":
                self.view.waiting(step, outcome.error)
                continue
            priced = _priced(outcome, time.monotonic() - self.flying.pop(outcome.key))
            self.view.ended(step, priced)
            self.take(priced)
        if not outcomes:
            self.view.tick()

    def require(self, key: str) -> None:
        """Add a step, and its ancestors that are not in the store, to the steps to run."""
        if key in self.unmet or key in self.flying:
            return
        step = self.plan.steps[key]
        self.unmet[key] = set()
        for _, parent in step.parents.values():
            if not self.plan.done(self.plan.steps[parent], self.store) or parent in self.unmet:
                self.unmet[key].add(parent)
                self.children[parent].add(key)
                self.require(parent)
        if not self.unmet[key]:
            heapq.heappush(self.ready, (self.order[key], key))

    def fill(self) -> None:
        """Submit ready steps while slots are free; a step that ran out of memory runs alone."""
        while self.ready and len(self.flying) < self.executor.slots and not self.stopped():
            if self.alone and self.flying and (self.ready[0][1] in self.alone or self.alone & self.flying.keys()):
                return
            _, key = heapq.heappop(self.ready)
            self.flying[key] = time.monotonic()
            del self.unmet[key]
            where = self.executor.submit(self.plan.steps[key].job)
            self.view.started(self.plan.steps[key], where or "")

    def take(self, outcome: Outcome) -> None:
        """Handle one outcome."""
        key = outcome.key
        trial = (key, outcome.state, str(outcome.value["key"]) if outcome.state == "damaged" else "")
        self.tries[trial] += 1
        if outcome.state == "done":
            self.succeed(key, outcome.value)
        elif outcome.state == "fatal":
            raise BenchkitError(outcome.error)
        elif self.tries[trial] <= self.allowed.get(outcome.state, 0):
            if outcome.state == "lost" and self.tries[trial] == self.allowed["lost"]:
                self.alone.add(key)  # the machine's memory may have been too small for this step and the others
            self.require(key)
        elif outcome.state == "oom" and key not in self.alone:
            self.alone.add(key)
            self.require(key)
        else:
            self.fail(key, STATUS.get(outcome.state, "failed"), outcome)

    def succeed(self, key: str, value: Mapping[str, Any]) -> None:
        """Make the steps ready that waited only for this one."""
        self.alone.discard(key)
        if "record" in value:
            self.finished(value["record"])
        for child in sorted(self.children.pop(key, ())):
            waiting = self.unmet.get(child)
            if waiting is not None and key in waiting:
                waiting.remove(key)
                if not waiting:
                    heapq.heappush(self.ready, (self.order[child], child))

    def fail(self, key: str, status: str, outcome: Outcome) -> None:
        """Record a failure, and skip all steps that need this one."""
        step = self.plan.steps[key]
        self.alone.discard(key)
        self.failed[key] = outcome.error
        self.view.dropped(step)
        if step.stage == "cell" and not self.plan.done(step, self.store):
            record = self.failed_record(step, status, outcome)
            self.store.write_record(record)
            self.finished(record.to_json())
        first = outcome if status == "skipped" else replace(outcome, error=f"{step.label}: {outcome.error}", trace="")
        for child in sorted(self.children.pop(key, ())):
            if self.unmet.pop(child, None) is not None:
                self.fail(child, "skipped", first)


def _priced(outcome: Outcome, seconds: float) -> Outcome:
    """Return an outcome with its cost; if the worker could not measure it, with ``seconds``."""
    told = outcome.cost or outcome.state == "done"
    return outcome if told else replace(outcome, cost={"seconds": round(seconds, 3)})
