"""The first thing a worker process imports; torch-free, so that its environment is set before torch wakes up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1"}
"""What torch reads when it wakes up: large tensors lie in huge pages, because faulting in a copy of a data set by 4 KB
takes longer than most triggers do. How threads wait is left to OpenMP: with OMP_WAIT_POLICY=passive two of them trained
as slowly as one, and two such processes on two cores ten times slower."""


def before_torch(threads: int) -> None:
    """Set the environment of a process in which torch is yet to wake up, and of its children."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


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
    from benchkit.execute.worker import main

    main(connection, setup)
