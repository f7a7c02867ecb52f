"""What people see while a run works: a live view in a terminal, one line a step in a log. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from benchkit.execute.executor import Outcome
from benchkit.execute.walk import View
from benchkit.plan import Plan, Step
from benchkit.store import Store

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class Quiet:
    """Says nothing but what went wrong."""

    def started(self, step: Step) -> None:
        """Say nothing."""

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Say what went wrong."""
        if outcome.state not in ("done", "fatal"):
            self.say(f"{outcome.state}: {step.label}: {outcome.error}")

    def tick(self) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Print one line."""
        click.echo(line, err=True)


class Log(Quiet):
    """One line for each step that ended, readable in a log file."""

    def __init__(self, total: int) -> None:
        self.total, self.count = total, 0
        self.begun: dict[str, float] = {}

    def started(self, step: Step) -> None:
        """Remember when."""
        self.begun[step.key] = time.monotonic()

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Say what ended, and how long it took."""
        seconds = time.monotonic() - self.begun.pop(step.key, time.monotonic())
        if outcome.state == "done":
            self.count += 1
            self.say(f"[{self.count}/{max(self.total, self.count)}] {step.label}  {seconds:.1f} s")
        else:
            super().ended(step, outcome)


class Screen(Log):
    """A live view: what each worker does, and how far the run is."""

    def __init__(self, total: int, slots: int) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(total)
        self.slots = slots
        self.working: dict[str, Step] = {}
        self.start = time.monotonic()
        self.console = Console(stderr=True)
        self.live: Live = Live(console=self.console, get_renderable=self.draw, refresh_per_second=4, transient=True)

    def started(self, step: Step) -> None:
        """Show the step."""
        super().started(step)
        self.working[step.key] = step

    def ended(self, step: Step, outcome: Outcome) -> None:
        """Take the step off the screen."""
        self.working.pop(step.key, None)
        super().ended(step, outcome)

    def say(self, line: str) -> None:
        """Print above the live view."""
        self.console.print(line, highlight=False, markup=False)

    def draw(self) -> Table:
        """Return what is on the screen now."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        now = time.monotonic()
        table = Table.grid(padding=(0, 1))
        table.add_row(
            f"{self.count}/{self.total} steps",
            ProgressBar(self.total, self.count, width=40),
            f"{now - self.start:.0f} s",
        )
        for key, step in list(self.working.items()):
            table.add_row("", step.label, f"{now - self.begun.get(key, now):.0f} s")
        for _ in range(self.slots - len(self.working)):
            table.add_row("", "idle", "")
        return table


@contextmanager
def make_view(plan: Plan, store: Store, slots: int, quiet: bool) -> Iterator[View]:
    """Yield the view that suits stderr."""
    total = len(plan.missing(store))
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        screen = Screen(total, slots)
        with screen.live:
            yield screen
    else:
        yield Log(total)
