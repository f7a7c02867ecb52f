"""Networks whose initial weights follow from a generator: torch's layers draw theirs from the global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Let torch's global generator follow from one draw of another, within the context."""
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        yield
