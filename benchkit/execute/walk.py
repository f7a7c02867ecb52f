"""The walk over a plan: what is ready, what is retried, what failed. The same for every executor."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from benchkit.errors import BenchkitError
from benchkit.execute.executor import Executor, Outcome
from benchkit.plan import Plan, Step
from benchkit.store import Record, Store

RETRIES = 2
"""How often a step whose process died is tried again, and how often a damaged parent is made again."""
STATUS = {"error": "failed", "oom": "failed", "lost": "failed", "timeout": "timeout"}
HEARTBEAT = 0.5


class View(Protocol):
    """Watches a walk."""

    def started(self, step: Step) -> None:
        """A step was handed to the executor."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """A step ended, one way or another."""

    def tick(self) -> None:
        """Half a second went by."""


class Walk:
    """One execution of a plan's missing steps."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        view: View,
        failed_record: Callable[[Step, str, Outcome], Record],
        finished: Callable[[Record], None],
    ) -> None:
        self.plan, self.store, self.executor, self.view = plan, store, executor, view
        self.failed_record, self.finished = failed_record, finished
        self.order = {key: place for place, key in enumerate(plan.steps)}
        self.unmet: dict[str, set[str]] = {}
        self.children: dict[str, set[str]] = defaultdict(set)
        self.ready: list[tuple[int, str]] = []
        self.flying: set[str] = set()
        self.tries: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.alone: set[str] = set()

    def run(self) -> None:
        """Run everything that is missing; failed cells become records.

        Raises:
            BenchkitError: when an outcome is fatal; steps in flight are abandoned.
        """
        for key in self.plan.missing(self.store):
            self.require(key)
        while self.ready or self.flying:
            self.fill()
            outcomes = self.executor.wait(HEARTBEAT)
            for outcome in outcomes:
                self.flying.discard(outcome.key)
                self.view.ended(self.plan.steps[outcome.key], outcome)
                self.take(outcome)
            if not outcomes:
                self.view.tick()

    def require(self, key: str) -> None:
        """Put a step, and those of its ancestors that are not in the store, on the list."""
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
        """Submit ready steps while there are free slots; a step that ran out of memory runs alone."""
        while self.ready and len(self.flying) < self.executor.slots:
            if self.alone and self.flying and (self.ready[0][1] in self.alone or self.alone & self.flying):
                return
            _, key = heapq.heappop(self.ready)
            self.flying.add(key)
            del self.unmet[key]
            self.view.started(self.plan.steps[key])
            self.executor.submit(self.plan.steps[key].job)

    def take(self, outcome: Outcome) -> None:
        """Draw the consequences of one outcome."""
        key = outcome.key
        self.tries[key] += 1
        if outcome.state == "done":
            self.succeed(key, outcome.value)
        elif outcome.state == "fatal":
            raise BenchkitError(outcome.error)
        elif outcome.state in ("damaged", "lost") and self.tries[key] <= RETRIES:
            self.require(key)
        elif outcome.state == "oom" and key not in self.alone:
            self.alone.add(key)
            self.require(key)
        else:
            self.fail(key, STATUS.get(outcome.state, "failed"), outcome)

    def succeed(self, key: str, value: Mapping[str, Any]) -> None:
        """Free the steps that waited for this one."""
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
        """Record a failure, and skip whatever needed this step."""
        step = self.plan.steps[key]
        self.alone.discard(key)
        self.failed[key] = outcome.error
        if step.stage == "cell" and not self.plan.done(step, self.store):
            record = self.failed_record(step, status, outcome)
            self.store.write_record(record)
            self.finished(record)
        first = outcome if status == "skipped" else Outcome(key, "error", error=f"{step.label}: {outcome.error}")
        for child in sorted(self.children.pop(key, ())):
            if self.unmet.pop(child, None) is not None:
                self.fail(child, "skipped", first)
