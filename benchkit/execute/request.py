"""The request of a run, and the options of its execution."""

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
        executor: the name of the executor.
        ray_address: the Ray cluster; None: a new one on this machine.
        threads: threads of each worker; None: OMP_NUM_THREADS, else its share of the cores.
    """

    jobs: int | None = None
    slots_per_device: int | Literal["auto"] | None = None
    timeout: float | None = None
    retries: int = RETRIES
    quiet: bool = False
    executor: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    threads: int | None = None
