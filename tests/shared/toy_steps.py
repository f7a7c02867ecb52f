"""Jobs and steps of a plan, for tests of who runs them and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchkit.plan.job import Job, Ref, Role, Stage
from benchkit.plan.steps import Step


def job(stage: Stage, key: str, parents: Iterable[Ref] = (), **more: Any) -> Job:
    """Return a job whose parents have roles without meaning."""
    roles = {Role("parent", str(number)): ref for number, ref in enumerate(parents)}
    same: dict[str, Any] = {"dataset": "toy", "model": "net", "recipe": "fast", "seed": 0, "parents": roles}
    return Job(stage, key, **same | more)


def step(
    stage: Stage, key: str, attack: str = "badnets", parents: Iterable[str] = (), label: str = "", **more: Any
) -> Step:
    """Return a step that somebody may run, after steps of these keys."""
    refs = [Ref("x", one) for one in parents]
    return Step(job(stage, key, refs, attack=attack, **more), label or f"{stage} {key}")
