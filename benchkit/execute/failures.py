"""The costs in the record of a failed cell."""

from __future__ import annotations

from contextlib import suppress

from benchkit.execute.executors.base import Outcome
from benchkit.plan.job import Job
from benchkit.stages.describe import parent_costs
from benchkit.store.store import Damaged, Store


def failed_costs(job: Job, store: Store, stage: str, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return the costs of a failed cell by role: of its parents, and of the failed step of ``stage``.

    The failed step is the cell, one of its parents, or an earlier ancestor, whose role is its stage.
    """
    failed = next((str(role) for role, ref in job.parents.items() if ref.key == outcome.key), stage)
    spent = {failed: dict(outcome.cost)}
    there = {role: step for role, step in job.parents.items() if store.has(*step)}
    for role, step in there.items():  # do not read missing artifacts: another run may be publishing them
        with suppress(Damaged):
            spent |= parent_costs({role: step}, store)
    return spent
