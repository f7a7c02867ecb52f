"""How many workers share a GPU when nobody said: as many as its memory has been seen to hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchkit.execute.executors.base import Outcome

CONTEXT_MB = 600
"""What a process takes on a GPU besides its tensors: the CUDA context and the kernels it loads (MiB)."""
ELASTIC = ("shadows", "population")
"""Stages that train as many networks at once as a share of the memory takes: they fill a GPU by themselves."""
SPARE = 1.2
"""Room over a measured peak, because the allocator reserves more than it hands out."""


class Packing:
    """Starts with one worker a device, and adds one after a finished step while another would fit.

    Args:
        limit: workers on all devices together.
        awaited: stages of which one step each must have finished first, because they need the most memory.
    """

    def __init__(self, limit: int, awaited: Collection[str]) -> None:
        self.limit, self.awaited = limit, set(awaited)
        self.peak = 0.0
        self.room: dict[str, float] = {}
        self.full: set[str] = set()

    def change(self, device: str, stage: str, outcome: Outcome, workers: Sequence[str]) -> int:
        """Return how many workers a device gains after one of its steps: 1, 0, or -1 when its memory ran out.

        Args:
            device: where the step ran.
            stage: the step's stage.
            outcome: with the step's peak, and what memory it left to this worker.
            workers: the device of each worker there is now.
        """
        mine = workers.count(device)
        if outcome.state == "oom":
            self.full.add(device)
            return -1 if mine > 1 else 0
        peak, free = outcome.value.get("cost", {}).get("peak_device_mb"), outcome.free_device_mb
        if peak is None or free is None or stage in ELASTIC:
            return 0
        self.awaited.discard(stage)
        self.peak = max(self.peak, peak)
        # The first figure is that of a worker that has the device to itself: its own context, and the data that it
        # keeps for its next step, are gone from it already.
        room = self.room.setdefault(device, free + CONTEXT_MB)
        need = SPARE * self.peak + CONTEXT_MB
        fits = (mine + 1) * need <= room and need <= free
        return int(fits and not self.awaited and device not in self.full and len(workers) < self.limit)
