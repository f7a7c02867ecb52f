"""What commands that draw share: run the steps that are missing, and take what they left from the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchkit.execute.request import ExecutionOptions, Request

SHOWN_ONCE = ("suite", "defenses", "seeds", "victims", "retune", "population")
"""Shared options that a figure of attacks does not use."""


def computed(asked: Request, means: ExecutionOptions) -> Request:
    """Run the missing and damaged steps that a figure is drawn from."""
    from benchkit.execute.suitability import say_notes
    from benchkit.store.store import Damaged

    asked.store.open()
    for key in asked.plan.cells:
        stage = asked.plan.steps[key].job.stage
        if asked.store.has(stage, key):
            with contextlib.suppress(Damaged):  # this deletes the damaged artifact
                asked.store.load(stage, key)
    if not asked.plan.missing(asked.store):
        say_notes(asked)
        return asked
    from benchkit.execute.session import check_models, execute

    check_models(asked)
    return execute(asked, means)[0]


def kept(asked: Request) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each attack whose step has succeeded, with its tensors and what is told beside them."""
    for key in asked.plan.cells:
        job = asked.plan.steps[key].job
        if asked.store.has(job.stage, key):
            yield job.attack, asked.store.load(job.stage, key), asked.store.meta(job.stage, key)["info"]
