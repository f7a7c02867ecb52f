"""The duration of steps on this machine, used for their order and for the remaining time of a run."""

from __future__ import annotations

import json
import math
import platform
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from statistics import fmean

from benchkit.plan.steps import Step
from benchkit.store.files import slug, write_atomic
from benchkit.store.store import Store

Kind = tuple[str, ...]
LENGTH, CONDITIONS, STAGE = 6, 5, 2
"""A kind is (device, stage, dataset, model, recipe, components); similar steps share a prefix of it."""


class History:
    """Seconds by kind of step, in a file beside the artifacts.

    The file can be deleted: without it, or with a damaged one, durations are unknown. No result depends on it.
    """

    def __init__(self, store: Store, device: str) -> None:
        self.path = store.artifacts / "timings" / f"{slug(platform.node() or 'here')}.json"
        self.device = device.partition(":")[0]
        self.seconds = _read(self.path)
        self._learned: dict[Kind, float] = {}
        self._means: dict[Kind, float] = {}

    def expected(self, step: Step) -> float | None:
        """Return the seconds that such a step took, or None if none has run here."""
        return self.seconds.get(self._kind(step))

    def guess(self, step: Step) -> float | None:
        """Return the expected seconds: of such a step, or the mean of similar steps, or of its stage."""
        kind, means = self._kind(step), self._beginnings()
        found = (self.seconds.get(kind), means.get(kind[:CONDITIONS]), means.get(kind[:STAGE]))
        return next((seconds for seconds in found if seconds is not None), None)

    def learn(self, step: Step, seconds: float) -> None:
        """Add a measurement; older ones have half of the weight."""
        kind = self._kind(step)
        self.seconds[kind] = self._learned[kind] = fmean([seconds, self.seconds.get(kind, seconds)])
        self._means.clear()

    def save(self) -> None:
        """Merge the measurements with those of other runs and write them; errors of the disk are ignored."""
        if not self._learned:
            return
        rows = ",\n".join(map(json.dumps, sorted((_read(self.path) | self._learned).items())))
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, f"[{rows}]\n".encode())

    def _kind(self, step: Step) -> Kind:
        job = step.job
        names = [text.partition(":")[0] for text in (job.attack, job.defense) if text]
        first, end = job.numbers
        components = " ".join([*names, *([f"{end - first} models"] if end else [])])
        return (self.device, step.stage, job.dataset, job.model, job.recipe, components)

    def _beginnings(self) -> dict[Kind, float]:
        if not self._means:
            groups = defaultdict(list)
            for kind, seconds in self.seconds.items():
                for length in (CONDITIONS, STAGE):
                    groups[kind[:length]].append(seconds)
            self._means = {start: fmean(found) for start, found in groups.items()}
        return self._means


def _read(path: Path) -> dict[Kind, float]:
    try:
        rows = [(tuple(map(str, kind)), float(seconds)) for kind, seconds in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return {}
    return {kind: seconds for kind, seconds in rows if len(kind) == LENGTH and 0 <= seconds < math.inf}
