"""Training with a thread for each core while every core has another job: it should take its share, and no more."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from _perf import Figure, NotHereError, bounded, split, turns

from benchkit.execute.executors.launch import cores
from benchkit.models.create import create
from benchkit.training.recipes import Fast
from benchkit.training.trainer import Trainer

CPU = torch.device("cpu")


@contextmanager
def neighbours() -> Iterator[None]:
    """Keep every core busy meanwhile."""
    there = []
    try:
        for core in os.sched_getaffinity(0):
            there.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            os.sched_setaffinity(there[-1].pid, {core})
        yield
    finally:
        for one in there:
            one.kill()
            one.wait()


def figures(quick: bool) -> list[Figure]:
    """Measure one training, alone and beside a spinning process on each core; half of each core is its share."""
    if cores() < 2 or not hasattr(os, "sched_setaffinity"):
        raise NotHereError("threads that wait for each other need two cores")
    count, before = 250 if quick else 2500, torch.get_num_threads()
    data = split(count)
    trainer = Trainer(
        Fast(epochs=1 if quick else 2, batch=125), functools.partial(create, "narrownet", 10, (3, 32, 32), CPU), CPU
    )

    def work() -> None:
        trainer.fit(data, rng=torch.Generator().manual_seed(0))

    torch.set_num_threads(cores())
    try:
        alone = turns({"alone": work}, 1 if quick else 5)["alone"]
        with neighbours():
            crowded = turns({"crowded": work}, 1 if quick else 5)["crowded"]
    finally:
        torch.set_num_threads(before)
    share = 1 / (2 * alone.middle())
    what = f"training, {cores()} threads, a spinning process on each core"
    return [bounded(what, crowded, "alone", alone, scale=share, unit="shares", most=2)]
