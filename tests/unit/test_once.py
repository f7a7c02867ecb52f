"""Methods that remember their answers."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field

from benchkit.plan.memoize import once


@dataclass
class Sums:
    """An object that is not hashable, and counts how often it had to work."""

    start: int
    asked: list[str] = field(default_factory=list)

    @once
    def plus(self, number: int, times: int = 1) -> list[int]:
        """Return a sum, in a list."""
        self.asked.append("plus")
        return [self.start + number * times]

    @once
    def less(self, number: int) -> list[int]:
        """Return a difference, in a list."""
        self.asked.append("less")
        return [self.start - number]


def test_every_set_of_arguments_is_worked_out_once() -> None:
    sums = Sums(10)
    assert sums.plus(2) is sums.plus(2)
    assert (sums.plus(2), sums.plus(3), sums.less(2), sums.plus(2, times=4)) == ([12], [13], [8], [18])
    assert sums.plus(2, times=4) is sums.plus(2, times=4)
    assert sums.asked == ["plus", "plus", "less", "plus"]


def test_objects_keep_their_answers_apart_and_are_not_kept_alive() -> None:
    one, other = Sums(1), Sums(100)
    assert (one.plus(1), other.plus(1)) == ([2], [101])
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None
