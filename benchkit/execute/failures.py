"""The costs in the record of a failed cell."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from benchkit.execute.executors.base import Outcome
from benchkit.stages.describe import parent_costs
from benchkit.store.store import Damaged, Store


def failed_costs(job: Mapping[str, Any], store: Store, stage: str, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return the costs of a failed cell by role: of its parents, and of the failed step of ``stage``.

    The failed step is the cell, one of its parents, or an earlier ancestor, whose role is its stage.
    """
    role = next((role for role, (_, key) in job["parents"].items() if key == outcome.key), stage)
    spent = {role: dict(outcome.cost)}
    there = {role: step for role, step in job["parents"].items() if store.has(*step)}
    for role, step in there.items():  # do not read missing artifacts: another run may be publishing them
        with suppress(Damaged):
            spent |= parent_costs({role: step}, store)
    return spent
