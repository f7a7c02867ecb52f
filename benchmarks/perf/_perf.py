"""What the measurements share: a figure, its table, works timed in turn, and images to time them on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit

Work = Callable[[], object]


@dataclass(frozen=True)
class Seconds:
    """What one work took, a number a turn: wall time, and CPU time (all threads and child processes)."""

    wall: Sequence[float]
    cpu: Sequence[float]

    def times(self, factor: float) -> Seconds:
        """Return what so many times the work would have taken."""
        return Seconds([factor * one for one in self.wall], [factor * one for one in self.cpu])

    def middle(self) -> float:
        """Return the median wall time."""
        return statistics.median(self.wall)


class NotHereError(Exception):
    """A topic cannot be measured on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        what: what was measured.
        against: what the reference is.
        ours: median seconds.
        reference: median seconds of the reference for the same amount of work.
        ratio: reference over ours, the median over turns: a busy machine slows both of one turn alike.
        cpu_ratio: the same of CPU times, which other jobs on the machine change least.
        value: what the goal is about, in ``unit`` (``x``: the ratio itself).
        goal: the least (``sense`` ``>=``) or the most (``<``) that ``value`` should be; None where there is no goal.
        more: further numbers.
    """

    what: str
    against: str
    ours: float
    reference: float
    ratio: float
    cpu_ratio: float
    value: float
    unit: str = "x"
    goal: float | None = None
    sense: str = ">="
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.sense == ">=" else self.value < self.goal

    def json(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self) | {"met": self.met}


def faster(what: str, ours: Seconds, against: str, reference: Seconds, goal: float | None = None) -> Figure:
    """Return how many times longer the reference takes."""
    ratio, cpu_ratio = ratios(ours, reference)
    return Figure(what, against, ours.middle(), reference.middle(), ratio, cpu_ratio, ratio, goal=goal)


def bounded(
    what: str, ours: Seconds, against: str, reference: Seconds, *, scale: float, unit: str, most: float | None
) -> Figure:
    """Return a figure in ``unit`` that is ``scale`` times our seconds, with what the reference takes beside it."""
    value = scale * ours.middle()
    middles = (ours.middle(), reference.middle())
    return Figure(what, against, *middles, *ratios(ours, reference), value, unit, most, "<")


def ratios(ours: Seconds, reference: Seconds) -> tuple[float, float]:
    """Return how many times longer the reference takes, the median over turns: wall time and CPU time."""
    pairs = ((ours.wall, reference.wall), (ours.cpu, reference.cpu))
    wall, cpu = (statistics.median(theirs / our for our, theirs in zip(*pair, strict=True) if our) for pair in pairs)
    return wall, cpu


def turns(works: Mapping[str, Work], repetitions: int) -> dict[str, Seconds]:
    """Time every work once a turn, after a turn that is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in range(repetitions + 1):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), spent()
            work()
            if turn:
                taken[name].append((time.perf_counter() - wall, spent() - cpu))
    return {name: Seconds(*zip(*pairs, strict=True)) for name, pairs in taken.items()}


def spent() -> float:
    """Return the CPU seconds of this process, all threads, and of its children, whether they have ended or not."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    living = sum(map(_ticks, multiprocessing.active_children()))
    return sum(one.ru_utime + one.ru_stime for one in used) + living / os.sysconf("SC_CLK_TCK")


def _ticks(child: BaseProcess) -> int:
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def images(count: int, side: int = 32) -> Tensor:
    """Return made-up images, uint8 (count, 3, side, side): smooth shading and sensor noise, so that PNG can work."""
    rng = torch.Generator().manual_seed(0)
    shading = F.interpolate(torch.rand(count, 3, 4, 4, generator=rng), size=(side, side), mode="bilinear")
    noise = torch.randint(-12, 13, shading.shape, generator=rng, dtype=torch.int8)
    return (230 * shading + noise).clamp_(0, 255).to(torch.uint8)


def split(count: int, classes: int = 10) -> benchkit.Split:
    """Return made-up images with labels."""
    return benchkit.Split(images(count), torch.arange(count) % classes)


def scene(clean: benchkit.Split, **more: Any) -> benchkit.Scene:
    """Return what an attacker or a defender of ten classes may use, on the CPU."""
    rng = torch.Generator().manual_seed(0)
    return benchkit.Scene(10, (3, 32, 32), torch.device("cpu"), clean, rng, **{"level": 1.0, **more})
