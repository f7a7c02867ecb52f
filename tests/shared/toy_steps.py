"""Steps of a plan that nobody runs, for tests of what is told of them."""

from __future__ import annotations

from benchkit.plan.steps import Step


def step(stage, key, attack="badnets", parents=(), dataset="toy", **more):
    job = {"dataset": dataset, "model": "net", "recipe": "fast", "attack": attack, **more}
    return Step(stage, key, {str(n): ("x", one) for n, one in enumerate(parents)}, job, f"{stage} {key}")
