"""Spec -> Plan: steps with content keys (a Merkle DAG) and the cells they lead to. Pure: nothing runs here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchkit.api import Attack, Dataset, Defense
from benchkit.baseline import NoAttack
from benchkit.fingerprint import code_of, component_id, digest
from benchkit.params import Component
from benchkit.spec import Spec
from benchkit.store import Store

CODE = {
    "poison": ("benchkit.api", "benchkit.protocol"),
    "craft": ("benchkit.protocol",),
    "train": ("benchkit.train", "benchkit.models", "benchkit.protocol"),
    "judge": ("benchkit.models",),
    "prepare": ("benchkit.protocol",),
    "audit": ("benchkit.protocol",),
    "cell": ("benchkit.measure", "benchkit.protocol"),
    "spectrum": ("benchkit.frequency", "benchkit.protocol"),
}
"""The harness's own code that each stage's result depends on."""
OTHER = "other "
"""What the roles of a defense's other datasets begin with, before the text it asked with."""


@dataclass(frozen=True)
class Step:
    """One unit of work. ``parents`` maps a role to the (stage, key) it reads; ``job`` is JSON for a worker."""

    stage: str
    key: str
    parents: Mapping[str, tuple[str, str]]
    job: Mapping[str, Any]
    label: str


@dataclass
class Plan:
    """Every step by key, in the order to prefer, and the keys of the cells among them."""

    steps: dict[str, Step] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)

    def done(self, step: Step, store: Store) -> bool:
        """Say whether a step's result is in the store."""
        if step.stage != "cell":
            return store.has(step.stage, step.key)
        record = store.record(step.job)
        return record is not None and record["status"] == "ok"

    def missing(self, store: Store) -> dict[str, Step]:
        """Return the steps that must run, in plan order: unfinished cells and what they lack."""
        return self._behind(self.cells, lambda step: not self.done(step, store))

    def without(self, cells: set[str]) -> Plan:
        """Return the plan without these cells and the steps that only they need."""
        kept = [key for key in self.cells if key not in cells]
        return Plan(self._behind(kept, lambda step: True), kept)

    def _behind(self, cells: Iterable[str], wanted: Callable[[Step], bool]) -> dict[str, Step]:
        """Return these cells and their ancestors, in plan order, up to the steps that are not wanted."""
        found, todo = set[str](), list(cells)
        while todo:
            step = self.steps[todo.pop()]
            if step.key not in found and wanted(step):
                found.add(step.key)
                todo += [key for _, key in step.parents.values()]
        return {key: step for key, step in self.steps.items() if key in found}

    def of(self, stage: str) -> list[Step]:
        """Return the steps of one stage."""
        return [step for step in self.steps.values() if step.stage == stage]


def plan(
    spec: Spec,
    fingerprints: Mapping[Dataset, str],
    model_code: Callable[[str], str] = lambda name: "",
) -> Plan:
    """Lay out every step of a spec.

    Args:
        fingerprints: what each dataset's ``fingerprint`` returned.
        model_code: code fingerprint of a model that a plugin provides ("" for timm's).
    """
    made = Plan()
    codes = {name: model_code(name) for name in spec.models}
    for dataset in spec.datasets:
        for name in spec.models:
            for seed in spec.seeds:
                Corner(made, spec, dataset, fingerprints, name, codes[name], seed).lay()
    return made


@dataclass
class Corner:
    """The part of a plan that shares a dataset, a model and a seed."""

    plan: Plan
    spec: Spec
    dataset: Dataset
    fingerprints: Mapping[Dataset, str]
    model: str
    model_code: str
    seed: int

    def lay(self) -> None:
        """Add the steps of every cell: what is shared first, then one victim after the other."""
        for defense in self.spec.defenses:
            self.prepare(defense)
        for attack, rate in self.attacks():
            for defense in self.spec.defenses:
                self.cell(attack, rate, defense)

    def attacks(self) -> Iterable[tuple[Attack, float]]:
        """Yield each attack with each poison rate; a benign row has one, 0."""
        for attack in self.spec.attacks:
            rates = (0.0,) if attack.benign else self.spec.poison_rates
            yield from ((attack, rate) for rate in rates)

    def data(self, other: Dataset | None = None) -> tuple[str, str]:
        """Add the step that decodes the dataset, or another one that a defense learns from."""
        dataset = other or self.dataset
        identity = {"dataset": identified(dataset), "files": self.fingerprints[dataset]}
        return self.add("data", identity, {}, {"dataset": str(dataset)}, f"load {dataset}")

    def craft(self, attack: Attack) -> dict[str, tuple[str, str]]:
        """Add the step that crafts an attack's trigger, if it has one; return it as a parent."""
        attack = attack.crafted_by()
        if type(attack).prepare is Attack.prepare:
            return {}
        parents = {"data": self.data()}
        if "model" in attack.needs:
            parents["victim"] = self.train(NoAttack(), 0.0)
        identity = {"attack": component_id(attack, prepare=True), "seed": self.seed}
        return {"craft": self.add("craft", identity, parents, {"attack": str(attack)}, f"craft {attack}")}

    def poison(self, attack: Attack, rate: float) -> tuple[str, str]:
        """Add the step that poisons the training set; benign rows share one, that of no attack."""
        attack = NoAttack() if attack.benign else attack
        parents = {"data": self.data(), **self.craft(attack)}
        identity = {"attack": identified(attack), "rate": rate, "seed": self.seed}
        job = {"attack": str(attack), "poison_rate": rate}
        return self.add("poison", identity, parents, job, f"poison {attack}")

    def train(self, attack: Attack, rate: float) -> tuple[str, str]:
        """Add the step that trains a victim; victims that share a poisoned set and a way to train are one."""
        attack = NoAttack() if attack.benign else attack
        own = attack.trains()
        parents = {"data": self.data(), "poison": self.poison(attack, rate)}
        parents |= self.craft(attack) if own else {}
        identity = {"attack": identified(attack) if own else None, **self._net(), "seed": self.seed}
        job = {"attack": str(attack), "poison_rate": rate}
        return self.add("train", identity, parents, job, f"train {self.model} on {attack}")

    def judge(self, attack: Attack, rate: float) -> tuple[str, str]:
        """Add the step that asks the undefended victim, and the benign one, about the test images."""
        parents = {
            "data": self.data(),
            "victim": self.train(attack, rate),
            "benign": self.train(NoAttack(), 0.0),
        }
        parents |= self.craft(attack)
        identity = {"attack": identified(attack), "seed": self.seed}
        return self.add("judge", identity, parents, {"attack": str(attack)}, f"judge {attack}")

    def prepare(self, defense: Defense) -> dict[str, tuple[str, str]]:
        """Add a defense's attack-free step, if it has one; return it as a parent."""
        if type(defense).prepare is Defense.prepare:
            return {}
        identity = {"defense": component_id(defense, prepare=True), "seed": self.seed}
        others = dict(self.spec.others)
        wanted = {OTHER + text: self.data(others[text]) for text in defense.other_datasets()}
        parents, job = {"data": self.data(), **wanted}, {"defense": str(defense)}
        return {"prepare": self.add("prepare", identity, parents, job, f"prepare {defense}")}

    def audit(self, attack: Attack, rate: float, defense: Defense) -> tuple[str, str]:
        """Add the step in which a model detector scores one victim."""
        parents = {"data": self.data(), "victim": self.train(attack, rate), **self.prepare(defense)}
        identity = {"defense": identified(defense), "seed": self.seed}
        job = {"attack": str(attack), "defense": str(defense), "poison_rate": rate}
        return self.add("audit", identity, parents, job, f"audit {attack} by {defense}")

    def shared(self, attack: Attack, rate: float, defense: Defense) -> dict[str, tuple[str, str]]:
        """Add the shared steps that a cell reads; return them as parents."""
        uses = set(defense.measured_with) - (set() if self.spec.victims else {"judge"})
        parents = {}
        if "judge" in uses:
            parents["judge"] = self.judge(attack, rate)
        if "poison" in uses:
            parents["poison"] = self.poison(attack, rate)
        if "audit" in uses:
            parents["audit"] = self.audit(attack, rate, defense)
            parents["benign_audit"] = self.audit(NoAttack(), 0.0, defense)
        elif "victim" in uses or "model" in defense.needs:
            parents["victim"] = self.train(attack, rate)
        return parents

    def cell(self, attack: Attack, rate: float, defense: Defense) -> None:
        """Add one cell and everything it reads."""
        parents = {"data": self.data(), **self.craft(attack), **self.prepare(defense)}
        parents |= self.shared(attack, rate, defense)
        identity = {
            "attack": identified(attack),
            "defense": identified(defense),
            "rate": rate,
            "seed": self.seed,
            **self._net(),
        }
        job = {"attack": str(attack), "defense": str(defense), "poison_rate": rate}
        _, key = self.add("cell", identity, parents, job, f"{attack} x {defense}")
        if key not in self.plan.cells:
            self.plan.cells.append(key)

    def add(
        self,
        stage: str,
        identity: Mapping[str, Any],
        parents: Mapping[str, tuple[str, str]],
        job: Mapping[str, Any],
        label: str,
    ) -> tuple[str, str]:
        """Add a step unless the plan has it, and return its (stage, key)."""
        lineage = {role: key for role, (_, key) in parents.items()}
        key = digest([stage, identity, lineage, code_of(*CODE[stage]) if stage in CODE else ""])
        if key not in self.plan.steps:
            common = {"dataset": str(self.dataset), "model": self.model, "recipe": str(self.spec.recipe)}
            full = {**common, "seed": self.seed, **job, "stage": stage, "key": key, "parents": dict(parents)}
            where = f" ({self.dataset.name}/{self.model}/seed {self.seed})" if parents else ""
            self.plan.steps[key] = Step(stage, key, parents, full, label + where)
        return stage, key

    def _net(self) -> dict[str, Any]:
        return {"model": self.model, "model_code": self.model_code, "recipe": identified(self.spec.recipe)}


@functools.cache
def identified(component: Component) -> dict[str, Any]:
    """Return ``component_id``, worked out once per component."""
    return component_id(component)
