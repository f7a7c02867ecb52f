"""Two runs of one thing, with other states of every global generator: the same where it draws only from its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")
FIRST, SECOND = 11, 12
"""Seeds of every global generator in the two runs whose results are compared."""


def repeats(run: Callable[[], T], equal: Callable[[T, T], bool], first: T | None = None) -> bool:
    """Return whether ``run`` gives the same result with two different states of every global generator.

    Args:
        run: what is run twice, or once if there is a ``first`` result.
        equal: compares two results.
        first: what ``run`` has given under the seed ``FIRST``.
    """
    before = under(FIRST, run) if first is None else first
    return equal(before, under(SECOND, run))


def under(seed: int, run: Callable[[], T]) -> T:
    """Return the result of ``run`` with this seed of every global generator."""
    with global_seed(seed):
        return run()


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python within the context."""
    python, legacy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
