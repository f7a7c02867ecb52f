"""The output of a running run on stderr: a live view in a terminal, one line per step in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from benchkit.execute.executors.base import Outcome
from benchkit.execute.progress.progress import Progress, span
from benchkit.plan.steps import Step
from benchkit.text import printable, shortened, warn

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
from typing import Protocol


class ProgressView(Protocol):
    """An observer of a walk."""

    def started(self, step: Step, where: str) -> None:
        """A step was submitted to the executor, in the slot of this name ("" if slots have no names)."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """A step ended, successfully or not."""

    def waiting(self, step: Step, why: str) -> None:
        """A step waits for another run."""

    def dropped(self, step: Step) -> None:
        """A step will not run (again): it failed, or a step that it needs failed."""

    def tick(self) -> None:
        """Called every half second."""

    def stopping(self, steps: int) -> None:
        """Ctrl-C was pressed; ``steps`` running steps are finished."""


ETA_SECONDS = 60.0
"""Interval between estimates of the remaining time in a log."""


class Quiet:
    """Reports only failures, and that Ctrl-C was received."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def started(self, step: Step, where: str) -> None:
        """Print nothing."""
        self.progress.started(step)

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Report a failure."""
        seconds = self.progress.ended(step, outcome)
        if outcome.state == "done":
            self.succeeded(step, seconds)
        elif outcome.state != "fatal":
            self.say(f"{outcome.state}: {step.label}: {outcome.error}")

    def succeeded(self, step: Step, seconds: float) -> None:
        """Print nothing."""

    def waiting(self, step: Step, why: str) -> None:
        """Report for which process: the run may wait forever."""
        self.say(f"waiting: {step.label}: {why}")

    def dropped(self, step: Step) -> None:
        """Print nothing: the failed step was already named."""
        self.progress.dropped(step)

    def tick(self) -> None:
        """Print nothing."""

    def stopping(self, steps: int) -> None:
        """Report the steps that are still running."""
        self.say(f"finishing {steps} step{'' if steps == 1 else 's'}; press Ctrl-C again to stop at once")

    def say(self, line: str) -> None:
        """Print one line."""
        warn(line)


class Log(Quiet):
    """One line for each finished step, readable in a log file, and sometimes the remaining time."""

    def __init__(self, progress: Progress, slots: Callable[[], int]) -> None:
        super().__init__(progress)
        self.slots = slots
        self.told, self.last = time.monotonic(), ""

    def succeeded(self, step: Step, seconds: float) -> None:
        """Report the step and its duration."""
        done = self.progress.done
        self.say(f"[{done}/{max(self.progress.total, done)}] {step.label}  {seconds:.1f} s")
        self.tick()

    def tick(self) -> None:
        """Report the remaining time at intervals of ``ETA_SECONDS``, unless it is what was said last."""
        if time.monotonic() - self.told < ETA_SECONDS:
            return
        self.told, left = time.monotonic(), self.progress.eta(self.slots())
        if left not in ("", self.last):
            self.last = left
            self.say(left)


class Working(NamedTuple):
    """A line of the live view: a step, its slot, its start time, and its expected seconds."""

    step: Step
    where: str
    begun: float
    expected: float | None


class Screen(Log):
    """A live view: the step of each slot, the progress of the run, and its remaining time."""

    def __init__(self, progress: Progress, slots: Callable[[], int]) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(progress, slots)
        self.working: dict[str, Working] = {}
        self.start, self.left, self.looked = time.monotonic(), "", 0.0
        self.console = Console(stderr=True)
        self.live: Live = Live(console=self.console, get_renderable=self.draw, refresh_per_second=4, transient=True)

    def started(self, step: Step, where: str) -> None:
        """Show the step."""
        super().started(step, where)
        self.working[step.key] = Working(step, where, time.monotonic(), self.progress.history.guess(step))

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Remove the step from the screen."""
        self.working.pop(step.key, None)
        super().ended(step, outcome)

    def tick(self) -> None:
        """Update the remaining time here, because another thread draws the screen."""
        now = time.monotonic()
        if now - self.looked >= 1:
            self.looked, self.left = now, self.progress.eta(self.slots())

    def say(self, line: str) -> None:
        """Print above the live view."""
        self.console.print(shortened(printable(line)), highlight=False, markup=False)

    def draw(self) -> Table:
        """Return the current content of the screen."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now, done, total = time.monotonic(), self.progress.done, self.progress.total
        table = Table.grid(padding=(0, 1))
        time_left = "".join(f", {told}" for told in (self.left, self.progress.crew) if told)
        bar = ProgressBar(max(total, 1), done, width=40)
        table.add_row(f"{done}/{total} steps", bar, f"{span(now - self.start)}{time_left}")
        working = sorted(self.working.copy().values(), key=lambda one: (len(one.where), one.where))
        for one in working:
            expected = f" / {span(one.expected)}" if one.expected is not None else ""
            table.add_row(one.where, Text(printable(one.step.label)), f"{span(now - one.begun)}{expected}")
        for _ in range(self.slots() - len(working)):
            table.add_row("", "idle", "")
        return table


@contextmanager
def make_view(
    progress: Progress, slots: Callable[[], int], *, quiet: bool, screen: bool = True
) -> Iterator[ProgressView]:
    """Yield the view for this kind of stderr; without ``screen`` never a live one."""
    if quiet:
        yield Quiet(progress)
    elif screen and sys.stderr.isatty():
        drawn = Screen(progress, slots)
        with drawn.live:
            yield drawn
    else:
        yield Log(progress, slots)
