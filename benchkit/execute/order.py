"""Which of the ready steps comes first. Any order gives the same results; this one gives them sooner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from benchkit.plan.steps import Plan, Step

Expected = Callable[[Step], float | None]
Rank = tuple[int, float, int]
DEPTH = {"cell": 3, "judge": 2, "audit": 2, "train": 1, "population": 1}
"""How far on its way to a cell a step's victim is: a victim that was begun is finished before the next begins."""


def ranks(plan: Plan, expected: Expected) -> dict[str, Rank]:
    """Return what to sort ready steps by: the deepest first, then the longest, then in plan order.

    A step is as long as the longest way from it to the end, itself included: the benign victim, which much waits
    for, comes before victims that take as long to train.
    """
    ahead: dict[str, float] = defaultdict(float)
    for key, step in reversed(plan.steps.items()):  # a plan has parents before children
        ahead[key] += expected(step) or 0.0
        for _, parent in step.parents.values():
            ahead[parent] = max(ahead[parent], ahead[key])
    return {
        key: (-DEPTH.get(step.stage, 0), -ahead[key], place) for place, (key, step) in enumerate(plan.steps.items())
    }
