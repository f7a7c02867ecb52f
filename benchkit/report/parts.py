"""A component of a record or of a published row: its name, and the parameters that are stated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchkit.errors import SpecError
from benchkit.params.grammar import pieces


def same(published: str, ours: str | None) -> bool:
    """Return whether two texts are the same value of a parameter, such as ``0.20`` and ``0.2``."""
    if ours is None:
        return False
    # The order of combined datasets does not matter.
    return sorted(published.split("+")) == sorted(ours.split("+")) or _number(published) == _number(ours)


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Part:
    """One component in a row or a record: its name, and the parameters in its text."""

    text: str
    name: str
    stated: Mapping[str, str] = field(default_factory=dict, compare=False)


def part_of(written: str) -> Part:
    """Split ``blend:alpha=0.2``; a text that is not one component becomes a name without parameters."""
    try:
        found = pieces(written)
    except SpecError:
        found = []
    if len(found) != 1:
        return Part(written, written)
    (name, stated), *_ = found
    return Part(written, name, {key.replace("-", "_"): value for key, value in stated.items()})
