"""Execution in the calling process, one step at a time, with its terminal: for a breakpoint in a plugin."""

from __future__ import annotations

import threading
from bdb import BdbQuit
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError, Ending
from benchkit.execute.executors.base import Outcome
from benchkit.execute.executors.launch import threads_each

if TYPE_CHECKING:
    from benchkit.contracts.data import Source
    from benchkit.plan.job import Job
    from benchkit.spec.registry import Registry
    from benchkit.store.store import Store

ENDS = (KeyboardInterrupt, Ending, BdbQuit)
"""What ends the run when a step raises it, since here it comes from who watches the step: Ctrl-C, a signal, or ``q`` in
the debugger."""
_BUSY = threading.Lock()
"""Held by the one executor of this kind: locks of the store do not work between the threads of one process."""


class InlineExecutor:
    """One step at a time in this process. A process that dies, or a step that hangs, takes the run with it.

    Args:
        registry: the plugins, as this process has loaded them.
        device: ``cpu`` or ``cuda:N``.
        threads: with how many threads to compute; None: OMP_NUM_THREADS, else every core.

    Raises:
        BenchkitError: when another one is at work in this process.
    """

    slots = 1

    def __init__(
        self, store: Store, registry: Registry, source: Source, device: str = "cpu", threads: int | None = None
    ) -> None:
        import torch

        from benchkit.stages.workspace import Workspace

        if not _BUSY.acquire(blocking=False):
            raise BenchkitError("another run with --executor inline is at work in this process: wait for its end")
        self.threads, self.gpus, self._before = (
            threads_each(1, threads),
            float(device != "cpu"),
            torch.get_num_threads(),
        )
        torch.set_num_threads(self.threads)
        self._device = torch.device(device)
        absolute = type(store)(Path(store.root).resolve())  # a plugin may go to another folder
        self.workspace = Workspace(absolute, registry, torch.device(self._device.type), source)
        self._job: Job | None = None
        self._told = False

    def submit(self, job: Job) -> str | None:
        """Take a job."""
        self._job, self._told = job, False
        return None

    def wait(self, timeout: float) -> list[Outcome]:
        """Run the job to its end, however long that takes; before one that another run holds, say so.

        Raises:
            KeyboardInterrupt: when Ctrl-C was pressed twice meanwhile, or the debugger was left.
        """
        from benchkit.execute.executors.worker import free_device_mb, outcome_of

        if self._job is None:
            return []
        job = self._job
        if not self._told and (other := self.workspace.store.holder(job.key)):
            self._told = True
            return [Outcome(job.key, "waiting", error=f"{other} is doing it; if that hangs, end it")]
        self._job = None
        with self._on_device(), _quitting():
            answer = outcome_of(self.workspace, job, ENDS)
            return [Outcome(job.key, **answer, free_device_mb=free_device_mb(self.workspace.device))]

    def close(self) -> None:
        """Give the process back the threads it had."""
        import torch

        torch.set_num_threads(self._before)
        _BUSY.release()

    def _on_device(self) -> Any:
        import torch

        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()


@contextmanager
def _quitting() -> Iterator[None]:
    """Make of leaving the debugger what Ctrl-C is."""
    try:
        yield
    except BdbQuit as left:
        raise KeyboardInterrupt from left
