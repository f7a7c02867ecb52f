"""The order of ready steps. Every order gives the same results; this one gives them earlier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from benchkit.plan.steps import Plan, Step

Expected = Callable[[Step], float | None]
Rank = tuple[int, float, int]
DEPTH = {"cell": 3, "judge": 2, "fit": 2, "score": 2, "audit": 2, "retune": 2, "train": 1, "population": 1}
"""The progress of a step towards its cell: a victim that was begun is finished before the next one begins."""


def ranks(plan: Plan, expected: Expected) -> dict[str, Rank]:
    """Return the sort keys of ready steps: the deepest first, then the longest, then in plan order.

    The length of a step is that of the longest path from it to the end, including itself: the benign victim, for which
    many steps wait, comes before victims with the same training time.
    """
    ahead: dict[str, float] = defaultdict(float)
    for key, step in reversed(plan.steps.items()):  # in a plan, parents come before children
        ahead[key] += expected(step) or 0.0
        for _, parent in step.parents.values():
            ahead[parent] = max(ahead[parent], ahead[key])
    return {
        key: (-DEPTH.get(step.stage, 0), -ahead[key], place) for place, (key, step) in enumerate(plan.steps.items())
    }
