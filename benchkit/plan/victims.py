"""The steps on the attackers' side of a plan: data, trigger, poisoned set, victims, and what is asked of them."""

from __future__ import annotations

from benchkit.components.baseline import NoAttack
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.plan.fingerprint import component_id, identified
from benchkit.plan.job import (
    BENIGN,
    CRAFT,
    DATA,
    POISON,
    RETUNE,
    SURROGATE,
    VICTIM,
    Purpose,
    Ref,
    Role,
)
from benchkit.plan.memoize import once
from benchkit.plan.part import Part
from benchkit.plan.steps import batches


class Victims(Part):
    """Lays out what happens before a defense acts, for the part of a plan that shares a dataset, a model and a seed."""

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
