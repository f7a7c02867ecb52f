"""The request of a run, and the options of its execution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchkit.errors import SpecError

if TYPE_CHECKING:
    from benchkit.contracts.data import Source
    from benchkit.plan.steps import Plan
    from benchkit.spec.registry import Registry
    from benchkit.spec.spec import Spec
    from benchkit.store.store import Store

MOST = 1024
"""Processes, or threads: more than any machine has cores for."""
EXECUTORS = ("local", "inline", "ray")
RETRIES = 2
"""How often a step whose process died is repeated, by default."""


@dataclass(frozen=True)
class Request:
    """A requested run, validated and planned but not executed; ``part`` is its shard, if any."""

    registry: Registry
    spec: Spec
    source: Source
    plan: Plan
    store: Store
    devices: list[str]
    plugin_files: tuple[str, ...]
    part: str = ""


@dataclass(frozen=True)
class ExecutionOptions:
    """The options of an execution; none of them changes a result.

    Attributes:
        jobs: number of worker processes; None: one per core, or per slot of a GPU. With ``slots_per_device``, a
            maximum.
        slots_per_device: workers per GPU; "auto": as many as fit into its memory; None: one, unless ``jobs`` is given.
        timeout: seconds allowed per step.
        retries: how often a step whose process died is repeated.
        quiet: show no progress.
        executor: what runs the steps: processes of this machine, this process itself, or a Ray cluster.
        ray_address: the Ray cluster; None: a new one on this machine.
        threads: threads of each worker; None: OMP_NUM_THREADS, else its share of the cores.
    """

    jobs: int | None = None
    slots_per_device: int | Literal["auto"] | None = None
    timeout: float | None = None
    retries: int = RETRIES
    quiet: bool = False
    executor: Literal["local", "inline", "ray"] = "local"
    ray_address: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            SpecError: in one sentence.
        """
        for name in ("jobs", "threads", "slots_per_device"):
            number = getattr(self, name)
            fits = number is None or number in range(1, MOST + 1)
            if not fits and (name, number) != ("slots_per_device", "auto"):
                raise SpecError(f"{name} must be a whole number from 1 to {MOST}, got {number!r}")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise SpecError(f"timeout must be a number of seconds, got {self.timeout!r}")
        if not isinstance(self.retries, int) or self.retries < 0:
            raise SpecError(f"retries must be a whole number, 0 or more, got {self.retries!r}")
        if self.executor not in EXECUTORS:
            raise SpecError(f"there is no executor {self.executor!r}: use {' or '.join(EXECUTORS)}")
        if self.executor == "inline":
            self._require_inline()

    def _require_inline(self) -> None:
        """Refuse what one process that runs one step at a time cannot do."""
        given = {"jobs": self.jobs not in (None, 1), "slots-per-device": self.slots_per_device, "timeout": self.timeout}
        if named := [f"--{name}" for name, said in given.items() if said]:
            how = "runs one step at a time in this process, and cannot stop one"
            raise SpecError(f"--executor inline {how}: leave out {' and '.join(named)}")
