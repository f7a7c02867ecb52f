"""A loose plugin file for tests: what befalls a process that runs a step, and a count of every training."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier


def device_full() -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def host_full() -> None:
    """Ask torch for more than this process may have."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, resource.RLIM_INFINITY))
    try:
        torch.zeros(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    ctypes.string_at(0)


def quits() -> None:
    os._exit(3)


def orphan() -> None:
    """Leave a child that lives longer than any test, and die."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    os._exit(4)


def hang() -> None:
    """Hang, deaf to polite requests, for longer than a test may take."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def nap() -> None:
    time.sleep(4)


ACCIDENTS: dict[str, Callable[[], None]] = {
    one.__name__.replace("_", "-"): one
    for one in (device_full, host_full, killed, segfault, quits, orphan, hang, stop, nap)
}


def note(folder: str, what: str) -> None:
    """Add a line to the diary in a folder; short lines are written whole."""
    with (Path(folder) / "diary").open("a") as diary:
        diary.write(f"{what}\n")


@dataclass(frozen=True)
class Noted(benchkit.Attack):
    """A white corner; notes what is done once for all."""

    name = "noted"
    size: int = benchkit.param(3, "side of the corner", ge=1)
    folder: str = benchkit.param("", "where the diary is")

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        note(self.folder, f"craft {self.size}")
        return {"white": torch.full((1,), 255, dtype=torch.uint8)}

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.clone()
        stamped[..., -self.size :, -self.size :] = scene.prepared["white"]
        return stamped

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> Classifier:
        note(self.folder, f"train {self.size}")
        return scene.fit(poisoned.data)


TRIGGERED = 90
"""Test images of the toy set with a trigger: these are scored in the cell, the others in a step that cells share."""


@dataclass(frozen=True)
class Unlucky(benchkit.InputDetector):
    """Scores the corner's brightness; as often as a file says, an accident comes first in its cells."""

    name = "unlucky"
    accident: str = benchkit.param("", "what happens", choices=("", *ACCIDENTS))
    folder: str = benchkit.param("", "where the diary is, and the file that says how often")

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        note(self.folder, f"prepare {self.accident}")
        return {"weight": torch.ones(1)}

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        note(self.folder, f"score {self.accident}")
        if self.accident and len(images) == TRIGGERED and self.befalls():
            note(self.folder, f"met {self.accident}")
            ACCIDENTS[self.accident]()
            note(self.folder, f"survived {self.accident}")
        return images[..., -3:, -3:].float().mean((1, 2, 3)) * scene.prepared["weight"]

    def befalls(self) -> bool:
        """Say whether it happens this time, too."""
        file = Path(self.folder) / self.accident
        left = int(file.read_text())
        file.write_text(str(left - 1))
        return left > 0


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Noted]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Unlucky]
