"""The part of a plan that shares a dataset, a model and a seed: how it adds a step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchkit.contracts.dataset import Dataset
from benchkit.hashing import digest
from benchkit.plan.fingerprint import identified, stage_code
from benchkit.plan.job import Job, Ref, Role, Stage
from benchkit.plan.steps import Plan, Step
from benchkit.spec.spec import Spec
from benchkit.training.recipes import Recipe

GOALS = ("cell", "spectrum", "features")
"""Stages whose steps are what a plan is made for."""


@dataclass
class Part:
    """The part of a plan that shares a dataset, a model and a seed."""

    plan: Plan
    spec: Spec
    dataset: Dataset
    fingerprints: Mapping[Dataset, str]
    model: str
    model_code: Callable[[str], str]
    seed: int

    @functools.cached_property
    def recipe(self) -> Recipe:
        """The recipe to train with on this dataset: without mirroring where a mirror image is of another class."""
        return self.spec.recipe.suited(self.dataset.mirror)

    def add(
        self, stage: Stage, identity: Mapping[str, Any], parents: Mapping[Role, Ref], label: str, **own: Any
    ) -> Ref:
        """Add a step unless the plan has it, and return where its result will be; ``own`` are fields of its job."""
        lineage = {str(role): key for role, (_, key) in parents.items()}
        key = digest([stage, identity, lineage, stage_code(stage)])
        if key not in self.plan.steps:
            shared: dict[str, Any] = {
                "dataset": str(self.dataset),
                "model": self.model,
                "recipe": str(self.recipe),
                "seed": self.seed,
            }
            job = Job(stage, key, parents=dict(parents), **(shared | own))
            where = f" ({self.dataset.name}/{self.model}/seed {self.seed})" if parents else ""
            self.plan.steps[key] = Step(job, label + where)
            if stage in GOALS:
                self.plan.cells.append(key)
        return Ref(stage, key)

    def _net(self, name: str = "", how: Recipe | None = None) -> dict[str, Any]:
        """Return what identifies a network and its training in a key; by default those of this part."""
        name, how = name or self.model, how or self.recipe
        return {"model": name, "model_code": self.model_code(name), "recipe": identified(how)}
