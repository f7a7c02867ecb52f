"""A run as asked for, ready to be executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from benchkit.contracts.data import Source
    from benchkit.plan.steps import Plan
    from benchkit.spec.registry import Registry
    from benchkit.spec.spec import Spec
    from benchkit.store.store import Store

RETRIES = 2
"""How often a step whose process died is tried again, unless told otherwise."""


@dataclass(frozen=True)
class Request:
    """A run as asked for: validated, planned, nothing executed; ``part`` says which shard, if it is one."""

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
    """With what a run is executed; none of it changes a result.

    Attributes:
        jobs: worker processes; None: one per core, or per slot of a GPU. At most so many with ``slots_per_device``.
        slots_per_device: workers on each GPU; "auto": as many as its memory holds; None: one, unless ``jobs`` says.
        timeout: seconds allowed per step.
        retries: how often a step whose process died is tried again.
        quiet: show no progress.
        executor: what runs the steps.
        ray_address: the Ray cluster that does; None: one of our own, on this machine.
        threads: with how many threads each worker computes; None: OMP_NUM_THREADS, else its share of the cores.
    """

    jobs: int | None = None
    slots_per_device: int | Literal["auto"] | None = None
    timeout: float | None = None
    retries: int = RETRIES
    quiet: bool = False
    executor: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    threads: int | None = None
