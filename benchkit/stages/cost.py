"""What a step costs: seconds and peak memory of this process, measured around it."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Meter:
    """Measures a ``with`` block. ``cost`` then holds seconds, peak_mb and, on a GPU, peak_device_mb (MiB).

    On a GPU the seconds are those until everything that the block began there has ended.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cost: dict[str, float] = {}

    def __enter__(self) -> Meter:
        _reset_peak()
        if self.device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
            torch.cuda.synchronize(self.device)
        self.start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.device.type == "cuda":
            self._finish(error)
        self.cost = {"seconds": round(time.perf_counter() - self.start, 3), "peak_mb": round(_peak_mb(), 1)}
        if self.device.type == "cuda":
            import torch

            self.cost["peak_device_mb"] = round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)

    def _finish(self, error: BaseException | None) -> None:
        """Wait for the GPU; raise RuntimeError when it failed behind the back of a block that ended well."""
        import torch

        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError:
            if error is None:
                raise


def added(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the cost of several steps, some perhaps made without a GPU: their seconds together, the worst peaks."""
    names = {name for cost in costs for name in cost} - {"seconds"}
    peaks = {name: max(cost[name] for cost in costs if name in cost) for name in sorted(names)}
    return {"seconds": round(sum(cost["seconds"] for cost in costs), 3), **peaks}


def apart(cost: Mapping[str, float], aside: float) -> dict[str, dict[str, float]]:
    """Return the cost of a cell without the seconds that went into retuning, which are no cost of its defense."""
    left = {**cost, "seconds": round(cost["seconds"] - aside, 3)}
    return {"cell": left} | ({"retuning": {**cost, "seconds": round(aside, 3)}} if aside else {})


def _reset_peak() -> None:
    # Linux forgets a process's peak on request; elsewhere the peak is that of the process so far.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
