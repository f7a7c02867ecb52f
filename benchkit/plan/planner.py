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
    BENIGN_AUDIT,
    DATA,
    FIT,
    JUDGE,
    OTHER,
    POISON,
    PREPARE,
    SCORES,
    SHADOWS,
    SUSPECTS,
    VICTIM,
    Ref,
    Role,
)
from benchkit.plan.memoize import once
from benchkit.plan.steps import Plan, batches
from benchkit.plan.victims import Victims
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
        for name in spec.models:
            for seed in spec.seeds:
                Planner(made, spec, dataset, fingerprints, name, code_for, seed).lay()
    return made


class Planner(Victims):
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

    def asked(self, attack: Attack, rate: float, defense: Defense) -> dict[Role, Ref]:
        """Return what a defense asks of a victim, as parents: the model, and the set that it was trained on."""
        victim = {VICTIM: self.train(attack, rate)} if defense.asks_victim() else {}
        return victim | ({POISON: self.poison(attack, rate)} if defense.asks_train() else {})

    @once
    def fit(self, attack: Attack, rate: float, defense: Defense) -> dict[Role, Ref]:
        """Add the step in which a defense learns from a victim, if it has one; return it as a parent.

        One that sees no victim learns once for all. Model detectors learn in their audits, from each suspect.
        """
        if not defense.fits() or "audit" in defense.reads_steps:
            return {}
        attack = NoAttack() if attack.benign else attack
        victim = self.asked(attack, rate, defense)
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
        victim = self.asked(attack, rate, defense)
        parents = {DATA: self.data(), **victim, **self.prepare(defense), **self.fit(attack, rate, defense)}
        identity = {"defense": identified(defense), **self._net(), "seed": self.seed}
        label = f"score clean images by {defense}" + (f" with {attack}" if victim else "")
        return self.add("score", identity, parents, label, defense=str(defense))

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
