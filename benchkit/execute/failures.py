"""What a failed cell's record says of what was spent on it."""

from __future__ import annotations

from contextlib import suppress

from benchkit.execute.executors.base import Outcome
from benchkit.plan.job import Job
from benchkit.stages.describe import parent_costs
from benchkit.store.store import Damaged, Store


def failed_costs(job: Job, store: Store, stage: str, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return what was spent on a cell that failed, by role: on its parents, and on the step of ``stage`` that failed.

    That is the cell itself, one of its parents, or one further up, which has no role but its stage.
    """
    failed = next((str(role) for role, ref in job.parents.items() if ref.key == outcome.key), stage)
    spent = {failed: dict(outcome.cost)}
    there = {role: step for role, step in job.parents.items() if store.has(*step)}
    for role, step in there.items():  # what is not there must not be asked: another run may be publishing it
        with suppress(Damaged):
            spent |= parent_costs({role: step}, store)
    return spent
