"""A part of a plan for one of many jobs that share nothing: whole victims, with what they need."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchkit.errors import NothingToRun, SpecError
from benchkit.plan.steps import Plan

VICTIM = ("dataset", "model", "seed", "attack", "poison_rate")


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1 on) of ``count``."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, plan: Plan) -> Plan:
        """Return this part of a plan: neighbouring victims, at most one more than in any other part.

        All cells of a victim are in one part. Neighbours share most, so that few parts train the same benign victim.

        Raises:
            NothingToRun: when there are more parts than victims and this one has none.
        """
        victims = dict.fromkeys(_victim(plan, key) for key in plan.cells)
        first, end = (len(victims) * place // self.count for place in (self.number - 1, self.number))
        ours = set(list(victims)[first:end])
        if not ours:
            raise NothingToRun(f"nothing to run: shard {self} is empty, there are only {len(victims)} victims")
        return plan.without({key for key in plan.cells if _victim(plan, key) not in ours})


def shard(text: str) -> Shard:
    """Return a shard from ``I/N``.

    Raises:
        SpecError: unless 1 <= I <= N.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise SpecError(f"--shard must be I/N, part I of N parts counted from 1, such as 1/4, got '{text}'")
    return Shard(number, count)


def _victim(plan: Plan, cell: str) -> tuple[object, ...]:
    job = plan.steps[cell].job
    return tuple(getattr(job, axis) for axis in VICTIM)
