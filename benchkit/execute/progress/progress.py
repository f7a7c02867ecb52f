"""The progress of a run, its cost, and its remaining time."""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchkit.execute.executors.base import Outcome
from benchkit.execute.progress.history import History
from benchkit.plan.steps import Step


class Progress:
    """Counts the steps of one run.

    Attributes:
        left: the unfinished steps, in plan order.
        total: the number of steps to run.
        done: the number of steps that succeeded.
        made: those of them that this run computed; another run computed the others first.
        seconds: their total duration, including failed steps.
        peaks: the largest memory of a step: ``peak_mb`` and, on a GPU, ``peak_device_mb`` (MiB).
        gpus: how many GPUs the run holds.
        crew: the numbers of workers and of threads per worker, in words; "" without workers.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.left: dict[str, Step] = {}
        self.begun: dict[str, float] = {}
        self.total = self.done = self.made = 0
        self.seconds = self.gpus = 0.0
        self.crew = ""
        self.peaks: dict[str, float] = {}

    def expect(self, missing: Mapping[str, Step]) -> None:
        """Set the steps that are still to run."""
        self.left = dict(missing)
        self.total = self.done + len(missing)

    def started(self, step: Step) -> None:
        """Remember when a step began."""
        self.begun[step.key] = time.monotonic()

    def ended(self, step: Step, outcome: Outcome) -> float:
        """Record the outcome of a step; return its seconds."""
        begun = self.begun.pop(step.key, None)
        self.seconds += outcome.cost.get("seconds", 0.0)
        if outcome.state == "done":
            self.done += 1
            self.dropped(step)
            if outcome.value.get("made"):
                self._learn(step, outcome.value["cost"])
        return time.monotonic() - begun if begun is not None else 0.0

    def dropped(self, step: Step) -> None:
        """Forget a step that will not run."""
        self.left.pop(step.key, None)

    def eta(self, slots: int) -> str:
        """Return the remaining time with ``slots`` workers, in words; "" if it is unknown or negligible.

        It is the evenly divided work or the longest chain of dependent steps, whichever takes longer.
        """
        guesses = {key: self.history.guess(step) for key, step in self.left.items()}
        if all(seconds is None for seconds in guesses.values()):
            return ""
        now, work = time.monotonic(), 0.0
        ends: dict[str, float] = {}
        for key, step in self.left.items():
            elapsed = now - self.begun.get(key, now)
            own = max(0.0, (guesses[key] or 0.0) - elapsed)
            work += own
            ends[key] = own + max((ends.get(parent, 0.0) for _, parent in step.parents.values()), default=0.0)
        seconds = max(work / max(1, slots), *ends.values())
        some = "at least" if None in guesses.values() else "about"
        return f"{some} {span(seconds)} left" if seconds >= 1 else ""

    def summary(self, cells: int, wall: float) -> str:
        """Return the last line of a run, which used its GPUs for ``wall`` seconds."""
        count = f"{cells} cell{'' if cells == 1 else 's'}, {self.made} step{'' if self.made == 1 else 's'} run"
        if not self.made:
            return f"{count}, {span(wall)}"
        names = {"peak_mb": "peak memory", "peak_device_mb": "peak GPU memory"}
        peaks = [f"{names[name]} {peak:.0f} MiB" for name, peak in self.peaks.items()]
        held = [f"{self.gpus * wall:.0f} GPU-seconds"] if self.gpus else []
        crew = f" by {self.crew}" if self.crew else ""
        return ", ".join([f"{count}: {span(self.seconds)} of computing in {span(wall)}{crew}", *held, *peaks])

    def _learn(self, step: Step, cost: Mapping[str, float]) -> None:
        self.made += 1
        self.seconds += cost["seconds"]
        self.history.learn(step, cost["seconds"])
        for name in ("peak_mb", "peak_device_mb"):
            if name in cost:
                self.peaks[name] = max(self.peaks.get(name, 0.0), cost[name])


def span(seconds: float) -> str:
    """Return a duration in a readable unit: ``8.2 s``, ``42 s``, ``12 min``, ``3.4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    if seconds < 119.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
