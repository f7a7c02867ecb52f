"""The executor protocol: something that runs ready jobs. It decides nothing about what to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from benchkit.plan.job import Job

State = Literal["done", "error", "fatal", "damaged", "oom", "lost", "timeout", "waiting"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    ``done``: ``value`` holds what the step returned. ``error``: it raised (a failed cell). ``fatal``: the run cannot
    go on (a user's mistake, a full disk). ``damaged``: a parent artifact (``value``) must be made again. ``oom``: the
    device's memory did not suffice. ``lost``: its process died. ``timeout``: it was stopped. ``waiting``: it has
    not ended, because another run is making the same. ``free_device_mb`` is the GPU memory that was free for anybody
    when the job had ended (MiB), where that is known. ``cost`` is what a job that failed had cost until then,
    as a record has it; that of one that is ``done`` is in its ``value``.
    """

    key: str
    state: State
    value: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    trace: str = ""
    free_device_mb: float | None = None
    cost: Mapping[str, float] = field(default_factory=dict)

    def spoils(self, device: str) -> bool:
        """Return whether its worker must not be given another job: memory ran out, or its GPU fails it from now on."""
        return self.state == "oom" or (device.startswith("cuda") and self.free_device_mb is None)


class Executor(Protocol):
    """Runs jobs; tensors never pass through it, only JSON."""

    slots: int
    """How many jobs may be in flight now; it may change."""

    @property
    def threads(self) -> int:
        """With how many threads each job computes."""

    @property
    def gpus(self) -> float:
        """How many GPUs are held for them."""

    def submit(self, job: Job) -> str | None:
        """Start a job; at most ``slots`` are in flight. Return the name of the slot it runs in, if slots have one."""

    def wait(self, timeout: float) -> list[Outcome]:
        """Return what has ended within so many seconds, perhaps nothing."""

    def close(self) -> None:
        """Stop everything at once."""
