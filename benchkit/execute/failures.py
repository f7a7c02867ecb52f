"""What a failed cell's record says of what was spent on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from benchkit.execute.executors.base import Outcome
from benchkit.stages.describe import parent_costs
from benchkit.store.store import Damaged, Store


def failed_costs(job: Mapping[str, Any], store: Store, stage: str, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return what was spent on a cell that failed, by role: on its parents, and on the step of ``stage`` that failed.

    That is the cell itself, one of its parents, or one further up, which has no role but its stage.
    """
    role = next((role for role, (_, key) in job["parents"].items() if key == outcome.key), stage)
    spent = {role: dict(outcome.cost)}
    there = {role: step for role, step in job["parents"].items() if store.has(*step)}
    for role, step in there.items():  # what is not there must not be asked: another run may be publishing it
        with suppress(Damaged):
            spent |= parent_costs({role: step}, store)
    return spent
