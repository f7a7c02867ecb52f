"""What a plan is made of: steps with content keys, and which of them are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from benchkit.errors import SpecError
from benchkit.plan.job import Job, Parents, Stage
from benchkit.spec.spec import MOST_MODELS
from benchkit.store.store import Store


@dataclass(frozen=True)
class Step:
    """One unit of work: a job, and what people call it."""

    job: Job
    label: str

    @property
    def stage(self) -> Stage:
        """What it does."""
        return self.job.stage

    @property
    def key(self) -> str:
        """The key of its result."""
        return self.job.key

    @property
    def parents(self) -> Parents:
        """What it reads, by role."""
        return self.job.parents

    @property
    def models(self) -> int:
        """How many networks it trains from the start."""
        first, end = self.job.numbers
        return (end - first or 1) if self.stage in ("train", "shadows", "population") else 0


@dataclass
class Plan:
    """Every step by key, in the order to prefer, and the keys of the cells among them."""

    steps: dict[str, Step] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)

    def done(self, step: Step, store: Store) -> bool:
        """Say whether a step's result is in the store."""
        if step.stage != "cell":
            return store.has(step.stage, step.key)
        record = store.record(step.job.cell())
        return record is not None and record.status == "ok"

    def missing(self, store: Store) -> dict[str, Step]:
        """Return the steps that must run, in plan order: unfinished cells and what they lack."""
        return self._behind(self.cells, lambda step: not self.done(step, store))

    def without(self, cells: set[str]) -> Plan:
        """Return the plan without these cells and the steps that only they need."""
        kept = [key for key in self.cells if key not in cells]
        return Plan(self._behind(kept, lambda step: True), kept)

    def _behind(self, cells: Iterable[str], wanted: Callable[[Step], bool]) -> dict[str, Step]:
        """Return these cells and their ancestors, in plan order, up to the steps that are not wanted."""
        found, todo = set[str](), list(cells)
        while todo:
            step = self.steps[todo.pop()]
            if step.key not in found and wanted(step):
                found.add(step.key)
                todo += [key for _, key in step.parents.values()]
        return {key: step for key, step in self.steps.items() if key in found}

    def of(self, stage: str) -> list[Step]:
        """Return the steps of one stage."""
        return [step for step in self.steps.values() if step.stage == stage]


def batches(count: int) -> Iterator[tuple[int, int]]:
    """Split models 0..count-1 into the parts that one step trains: (first, end), larger ones further on.

    The parts do not depend on the count, but for the last: more models than before are trained on top of them.

    Raises:
        SpecError: when there are more than MOST_MODELS.
    """
    if count > MOST_MODELS:
        raise SpecError(f"{count} models are too many: ask for {MOST_MODELS} or fewer")
    first = 0
    while first < count:
        size = 8 if first < 128 else 64 if first < 1024 else 256
        yield first, min(first + size, count)
        first += size
