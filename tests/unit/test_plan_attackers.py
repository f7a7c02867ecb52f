"""What attackers' steps depend on: the architecture where a model is declared, a victim where its training teaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit_plugins import Brightness, Patch, broken

import benchkit
from benchkit.execute.progress.summary import summary
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.plan.job import CRAFT, DATA, JUDGE, POISON, SURROGATE, VICTIM, Job
from benchkit.plan.planner import plan
from benchkit.plan.steps import Plan
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import Spec, make
from benchkit.store.store import Store

OPTIONS: dict[str, str | bool] = {**DEFAULTS, **CPU_DEFAULTS, "attacks": "none", "datasets": "scenes"}


def own_way(self: Any, poisoned: Any, scene: Any) -> Any:
    return scene.fit(poisoned.data)


NEEDS = {"needs": frozenset({"model"})}
POISONER = broken(Patch, name="poisoner", **NEEDS)()
TRAINER = broken(Patch, name="trainer", access="training", train=own_way, **NEEDS)()
LEARNER = broken(Patch, name="learner", access="training", train=own_way, learns=True)()


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def planned(registry: Registry, *attacks: benchkit.Attack, **changes: str | bool) -> tuple[Plan, Spec]:
    spec = replace(make({**OPTIONS, **changes}, registry), attacks=attacks, defenses=(Brightness(),))
    return plan(spec, dict.fromkeys(spec.datasets, "")), spec


def jobs(made: Plan, stage: str, attack: benchkit.Attack) -> list[Job]:
    return [step.job for step in made.of(stage) if step.job.attack == str(attack)]


def key_of(registry: Registry, stage: str, attack: benchkit.Attack, **changes: str | bool) -> str:
    (job,) = jobs(planned(registry, attack, **changes)[0], stage, attack)
    return job.key


def test_an_attack_that_declares_a_model_poisons_and_trains_with_the_one_it_crafts_with(registry: Registry) -> None:
    made, _ = planned(registry, POISONER, TRAINER, Patch())
    poisons = {name: jobs(made, "poison", attack)[0].parents for name, attack in (("p", POISONER), ("t", TRAINER))}
    assert set(poisons["p"]) == set(poisons["t"]) == {DATA, SURROGATE}
    (trained,), (plain,) = jobs(made, "train", TRAINER), jobs(made, "train", POISONER)
    assert trained.parents[SURROGATE] == poisons["t"][SURROGATE] == poisons["p"][SURROGATE]
    assert set(plain.parents) == {DATA, POISON}
    assert set(jobs(made, "poison", Patch())[0].parents) == {DATA}


@pytest.mark.parametrize("change", [{"recipe": "fast:epochs=3"}, {"models": "preactresnet18"}])
def test_what_a_declared_model_may_decide_depends_on_its_architecture_and_recipe(
    registry: Registry, change: dict[str, str]
) -> None:
    (crafting,) = make({**OPTIONS, "attacks": "troj-sq"}, registry).attacks
    (drawing,) = make({**OPTIONS, "attacks": "wanet"}, registry).attacks
    for stage, attack in (("craft", crafting), ("poison", crafting), ("poison", POISONER)):
        assert key_of(registry, stage, attack) != key_of(registry, stage, attack, **change)
    for stage, attack in (("craft", drawing), ("poison", Patch())):
        made, other = (planned(registry, attack, **changes)[0] for changes in ({}, change))
        assert {job.key for job in jobs(made, stage, attack)} == {job.key for job in jobs(other, stage, attack)}


@pytest.mark.parametrize("victims", [True, False])
def test_who_stamps_what_a_victim_taught_has_this_victim_as_a_parent(registry: Registry, victims: bool) -> None:
    made, _ = planned(registry, LEARNER, Patch(), victims=victims)
    (victim,) = [job.key for job in jobs(made, "train", LEARNER)]
    cells = {step.job.attack: step.parents for step in made.of("cell")}
    assert cells["learner"][VICTIM].key == victim
    assert VICTIM not in cells["patch"]
    assert (JUDGE in cells["learner"]) == victims
    assert all(step.parents[VICTIM].key == victim for step in made.of("judge") if step.job.attack == "learner")
    assert CRAFT not in cells["learner"]


def test_the_summary_names_who_needs_a_model_only_to_poison(registry: Registry, tmp_path: Path) -> None:
    made, spec = planned(registry, POISONER, Patch())
    assert "1 model for attackers to craft poisoner, 1 to train; " in summary(made, Store(tmp_path), spec)
