"""Spec -> Plan: steps with content keys (a Merkle DAG) and the cells they lead to. Pure: nothing runs here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

from benchkit.components.baseline import NoAttack
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.plan.fingerprint import component_id, identified
from benchkit.plan.job import (
    AUDIT,
    BENIGN,
    BENIGN_AUDIT,
    CRAFT,
    DATA,
    FIT,
    JUDGE,
    OTHER,
    POISON,
    PREPARE,
    RETUNE,
    SCORES,
    SHADOWS,
    SURROGATE,
    SUSPECTS,
    VICTIM,
    Purpose,
    Ref,
    Role,
)
from benchkit.plan.memoize import once
from benchkit.plan.part import Part
from benchkit.plan.steps import Plan, batches
from benchkit.spec.spec import Spec, recipe


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
    code_for = functools.cache(model_code)
    for dataset in spec.datasets:
        for name in spec.models_for(dataset):
            for seed in spec.seeds:
                Planner(made, spec, dataset, fingerprints, name, code_for, seed).lay()
    return made


class Planner(Part):
    """Lays out the part of a plan that shares a dataset, a model and a seed."""

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

    @once
    def data(self, other: Dataset | None = None) -> Ref:
        """Add the step that decodes the dataset, or another one that a defense learns from."""
        dataset = other or self.dataset
        identity = {"dataset": identified(dataset), "files": self.fingerprints[dataset]}
        return self.add("data", identity, {}, f"load {dataset}", dataset=str(dataset))

    @once
    def craft(self, attack: Attack) -> dict[Role, Ref]:
        """Add the step that crafts an attack's trigger, if it has one; return it as a parent."""
        attack = attack.crafter()
        if not attack.crafts():
            return {}
        parents = {DATA: self.data(), **self.surrogate(attack)}
        identity = {"attack": component_id(attack, "prepare"), "seed": self.seed}
        return {CRAFT: self.add("craft", identity, parents, f"craft {attack}", attack=str(attack))}

    def surrogate(self, attack: Attack) -> dict[Role, Ref]:
        """Add the clean model that an attack declares; return it as a parent."""
        # A trigger does most to the model that it was crafted on: what it does to clean ones is asked of another.
        return {SURROGATE: self.train(NoAttack(), 0.0, "surrogate")} if "model" in attack.needs else {}

    def stamping(self, attack: Attack, rate: float) -> dict[Role, Ref]:
        """Return what an attack stamps test images with, as parents: what it crafted, and what a victim taught it."""
        learned = {VICTIM: self.train(attack, rate)} if attack.learns else {}
        return {**self.craft(attack), **learned}

    @once
    def poison(self, attack: Attack, rate: float) -> Ref:
        """Add the step that poisons the training set; benign rows share one, that of no attack."""
        attack = NoAttack() if attack.benign else attack
        parents = {DATA: self.data(), **self.craft(attack), **self.surrogate(attack)}
        identity = {"attack": identified(attack, "training"), "rate": rate, "seed": self.seed}
        return self.add("poison", identity, parents, f"poison {attack}", attack=str(attack), poison_rate=rate)

    @once
    def train(self, attack: Attack, rate: float, purpose: Purpose = "train") -> Ref:
        """Add the step that trains a victim; victims that share a poisoned set and a way to train are one.

        A surrogate is trained like the benign victim, with random numbers of its own.
        """
        attack = NoAttack() if attack.benign else attack
        own = attack.controls_training()
        parents = {DATA: self.data(), POISON: self.poison(attack, rate)}
        parents |= {**self.craft(attack), **self.surrogate(attack)} if own else {}
        own_way = identified(attack, "training") if own else None
        identity = {"attack": own_way, "purpose": purpose, **self._net(), "seed": self.seed}
        label = f"train {self.model} on {attack}" + (" for attackers" if purpose == "surrogate" else "")
        return self.add("train", identity, parents, label, attack=str(attack), poison_rate=rate, purpose=purpose)

    @once
    def judge(self, attack: Attack, rate: float) -> Ref:
        """Add the step that asks the undefended victim, and the benign one, about the test images."""
        victims = {VICTIM: self.train(attack, rate), BENIGN: self.train(NoAttack(), 0.0)}
        parents = {DATA: self.data(), **victims, **self.craft(attack)}
        identity = {"attack": identified(attack), "rate": rate, "seed": self.seed}
        return self.add("judge", identity, parents, f"judge {attack}", attack=str(attack), poison_rate=rate)

    @once
    def retune(self, attack: Attack, rate: float) -> dict[Role, Ref]:
        """Add the step that draws the poisons of retuning and retunes the benign victim; return it as a parent."""
        if attack.benign:
            return {}
        victims = {BENIGN: self.train(NoAttack(), 0.0), POISON: self.poison(attack, rate)}
        parents = {DATA: self.data(), **victims, **self.stamping(attack, rate)}
        identity = {"attack": identified(attack), "rate": rate, **self._net(), "seed": self.seed}
        label = f"retune the benign victim with poisons of {attack}"
        return {RETUNE: self.add("retune", identity, parents, label, attack=str(attack), poison_rate=rate)}

    @once
    def prepare(self, defense: Defense) -> dict[Role, Ref]:
        """Add a defense's attack-free step, if it has one; return it as a parent."""
        if type(defense).prepare is Defense.prepare:
            return {}
        identity = {"defense": component_id(defense, "prepare"), "seed": self.seed}
        others = dict(self.spec.others)
        wanted = {Role(OTHER, text): self.data(others[text]) for text in defense.other_datasets()}
        parents = {DATA: self.data(), **wanted, **self.shadows(defense)}
        return {PREPARE: self.add("prepare", identity, parents, f"prepare {defense}", defense=str(defense))}

    def shadows(self, defense: Defense) -> dict[Role, Ref]:
        """Add the steps that train the shadow models a defense wants, some in each; return them as parents."""
        wanted = defense.shadows()
        if wanted is None:
            return {}
        how = recipe(wanted.recipe).suited(self.dataset.mirror)
        net = self._net(wanted.model or self.model, how)
        same = {"shadows": component_id(wanted, "prepare"), "clean": defense.clean, **net, "seed": self.seed}
        job = {"defense": str(defense), "model": net["model"], "recipe": str(how)}
        parents = {DATA: self.data()}
        found = {}
        for first, end in batches(wanted.count):
            label = f"train shadow models {first} to {end - 1} for {defense.name}"
            which = {"numbers": (first, end)}
            found[Role(SHADOWS, str(first))] = self.add("shadows", same | which, parents, label, **job, **which)
        return found

    @once
    def fit(self, attack: Attack, rate: float, defense: Defense) -> dict[Role, Ref]:
        """Add the step in which a defense learns from a victim, if it has one; return it as a parent.

        One that sees no victim learns once for all. Model detectors learn in their audits, from each suspect.
        """
        if not defense.fits() or "audit" in defense.reads_steps:
            return {}
        attack = NoAttack() if attack.benign else attack
        victim = {VICTIM: self.train(attack, rate)} if defense.asks_victim() else {}
        victim |= {POISON: self.poison(attack, rate)} if defense.asks_train() else {}
        parents = {DATA: self.data(), **victim, **self.prepare(defense)}
        identity = {"defense": component_id(defense, "fit"), **self._net(), "seed": self.seed}
        job = {"attack": str(attack), "poison_rate": rate} if victim else {}
        label = f"fit {defense}" + (f" to {attack}" if victim else "")
        return {FIT: self.add("fit", identity, parents, label, defense=str(defense), **job)}

    @once
    def scores(self, attack: Attack, rate: float, defense: Defense) -> Ref:
        """Add the step in which an input detector scores the clean images, from which its threshold follows.

        One that sees no victim does this once for all cells.
        """
        attack = NoAttack() if attack.benign else attack
        victim = {VICTIM: self.train(attack, rate)} if "model" in defense.needs else {}
        parents = {DATA: self.data(), **victim, **self.prepare(defense), **self.fit(attack, rate, defense)}
        identity = {"defense": identified(defense), **self._net(), "seed": self.seed}
        label = f"score clean images by {defense}" + (f" with {attack}" if victim else "")
        return self.add("score", identity, parents, label, defense=str(defense))

    def suspects(self, attack: Attack, rate: float) -> list[Ref]:
        """Add the steps that train what a model detector judges: the victim, or a population of its like."""
        if not self.spec.population:
            return [self.train(attack, rate)]
        attack = NoAttack() if attack.benign else attack
        same = {"attack": identified(attack, "training"), "rate": rate, **self._net(), "seed": self.seed}
        job = {"attack": str(attack), "poison_rate": rate}
        parents = {DATA: self.data(), **self.craft(attack), **self.surrogate(attack)}
        found = []
        for first, end in batches(self.spec.population):
            label = f"train {self.model} on {attack}, models {first} to {end - 1}"
            which = {"numbers": (first, end)}
            found.append(self.add("population", same | which, parents, label, **job, **which))
        return found

    @once
    def audits(self, kind: str, attack: Attack, rate: float, defense: Defense) -> dict[Role, Ref]:
        """Add the steps in which a model detector scores its suspects; return them as parents."""
        identity = {"defense": identified(defense), "seed": self.seed}
        job = {"attack": str(attack), "defense": str(defense), "poison_rate": rate}
        found = {}
        for number, step in enumerate(self.suspects(attack, rate)):
            parents = {DATA: self.data(), SUSPECTS: step, **self.prepare(defense)}
            label = f"audit {attack} by {defense}"
            found[Role(kind, str(number))] = self.add("audit", identity, parents, label, **job)
        return found

    def shared(self, attack: Attack, rate: float, defense: Defense) -> dict[Role, Ref]:
        """Add the shared steps that a cell reads; return them as parents."""
        unasked = {name for name, asked in (("judge", self.spec.victims), ("retune", self.spec.retune)) if not asked}
        uses = set(defense.reads_steps) - unasked
        parents: dict[Role, Ref] = {}
        if "judge" in uses:
            parents[JUDGE] = self.judge(attack, rate)
        if defense.asks_train() or "poison" in uses:
            parents[POISON] = self.poison(attack, rate)
        if "score" in uses:
            parents[SCORES] = self.scores(attack, rate, defense)
        if "retune" in uses:
            parents |= self.retune(attack, rate)
        if "audit" in uses:
            parents |= self.audits(AUDIT, attack, rate, defense)
            parents |= self.audits(BENIGN_AUDIT, NoAttack(), 0.0, defense)
        elif "victim" in uses or defense.asks_victim():
            parents[VICTIM] = self.train(attack, rate)
        return parents

    def cell(self, attack: Attack, rate: float, defense: Defense) -> None:
        """Add one cell and everything it reads."""
        parents = {DATA: self.data(), **self.stamping(attack, rate), **self.prepare(defense)}
        parents |= {**self.shared(attack, rate, defense), **self.fit(attack, rate, defense)}
        pair = {"attack": identified(attack), "defense": identified(defense)}
        identity = {**pair, "rate": rate, "seed": self.seed, **self._net()}
        judged = (self.spec.population or 1) if "audit" in defense.reads_steps else 0
        others = dict(self.spec.others)
        learned = tuple(str(others[text]) for text in defense.other_datasets())
        job = {"attack": str(attack), "defense": str(defense), "poison_rate": rate}
        self.add("cell", identity, parents, f"{attack} x {defense}", **job, population=judged, others=learned)
