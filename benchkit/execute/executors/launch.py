"""The first thing a worker process imports; torch-free, so that its environment is set before torch wakes up."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from benchkit.execute.executors.scratch import for_sockets, scratch

ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "GOMP_SPINCOUNT": "10000"}
"""What torch reads when it wakes up. Large tensors lie in huge pages, because faulting in a copy of a data set by 4 KB
takes longer than most triggers do. Threads that wait for each other look 10,000 times and then sleep: the default is
300,000, which costs nothing on idle cores and far more than its share on busy ones, where the core that a thread waits
on is needed by the thread that it waits for. With OMP_WAIT_POLICY=passive, which sleeps at once, two threads train as
slowly as one on idle cores."""


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(workers: int, asked: int | None = None) -> int:
    """Return with how many threads each of so many workers computes.

    That is what was asked for, else what OMP_NUM_THREADS says, as it would without us, else its share of the cores.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # further numbers are for nested regions
    usual = int(said) if said.isascii() and said.isdecimal() and len(said) < 5 else 0
    return asked or usual or max(1, cores() // workers)


def before_torch(threads: int) -> None:
    """Set the environment of a process in which torch is yet to wake up, and of its children."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["PYTHONSAFEPATH"] = "1"  # modules are never looked for in the current folder
    os.environ.update(usual(os.environ))


def usual(said: Mapping[str, str]) -> dict[str, str]:
    """Return what of ``ENVIRONMENT`` an environment leaves open; a policy of waiting settles the count, too."""
    settled = {"GOMP_SPINCOUNT"} if "OMP_WAIT_POLICY" in said else set()
    return {name: value for name, value in ENVIRONMENT.items() if name not in said and name not in settled}


_SWAPPING = threading.RLock()
"""Held while what belongs to the whole process is other than usual: the environment, and its main module."""


@contextmanager
def without_main() -> Iterator[None]:
    """Start processes that do not run this one's script again, whether it is guarded by ``__name__`` or not.

    multiprocessing looks at the main module to tell a new process how to import it; what we send needs nothing of it.
    """
    with _SWAPPING:
        before = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = before


@contextmanager
def starting(threads: int) -> Iterator[None]:
    """Start processes that find what ``before_torch`` sets, and that keep temporary files in our scratch folder."""
    with _SWAPPING:
        names = ("OMP_NUM_THREADS", "PYTHONSAFEPATH", "TMPDIR", *ENVIRONMENT)
        before, ours = {name: os.environ.get(name) for name in names}, tempfile.tempdir
        folder, for_ours = str(scratch()), str(for_sockets())
        before_torch(threads)
        os.environ["TMPDIR"], tempfile.tempdir = folder, for_ours
        try:
            yield
        finally:
            tempfile.tempdir = ours
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({name: value} if value is not None else {})


def masked(device: str, mask: str | None) -> str:
    """Return what ``CUDA_VISIBLE_DEVICES`` has to be so that a process sees one device alone.

    Args:
        device: ``cuda:N``, the N-th of those that are visible now, or ``cuda``, the first.
        mask: ``CUDA_VISIBLE_DEVICES`` as it is: the numbers or names that a batch system has given us, or None.
    """
    index = int(device.partition(":")[2] or 0)
    return mask.split(",")[index].strip() if mask else str(index)


def launch(connection: Connection, setup: Mapping[str, Any]) -> None:
    """Become a worker."""
    if setup["device"].startswith("cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = masked(setup["device"], os.environ.get("CUDA_VISIBLE_DEVICES"))
    from benchkit.execute.executors.worker import main

    main(connection, setup)
