"""The plan behind ``benchkit spectrum``: one step an attack, with the crafting it needs and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchkit.components.baseline import NoAttack
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.errors import SpecError
from benchkit.plan.fingerprint import identified
from benchkit.plan.job import DATA
from benchkit.plan.planner import Planner
from benchkit.plan.steps import Plan
from benchkit.spec.spec import Spec


def plan_spectra(
    spec: Spec, fingerprints: Mapping[Dataset, str], model_code: Callable[[str], str], images: int
) -> Plan:
    """Lay out one ``spectrum`` step for clean images and one for each attack; they are the plan's targets.

    Args:
        images: test images to average over; all of them where there are fewer.

    Raises:
        SpecError: when the spec has more than one dataset, model or seed: a figure shows one.
    """
    for noun, named in (("dataset", spec.datasets), ("model", spec.models), ("seed", spec.seeds)):
        if len(named) != 1:
            raise SpecError(f"a figure shows one {noun}, got {len(named)}: draw one figure for each")
    made = Plan()
    (dataset,), (model,), (seed,) = spec.datasets, spec.models, spec.seeds
    corner = _Panels(made, spec, dataset, fingerprints, model, model_code, seed)
    for attack in dict.fromkeys([NoAttack(), *spec.attacks]):
        corner.spectrum(attack, images)
    return made


@dataclass
class _Panels(Planner):
    def spectrum(self, attack: Attack, images: int) -> None:
        """Add the step that stamps images and averages their spectra.

        Raises:
            SpecError: when the attack stamps with what a victim's training learns: a figure has no victim.
        """
        if attack.learns:
            raise SpecError(f"{attack} learns its trigger as it trains a victim, which a figure has not: leave it out")
        parents = {DATA: self.data(), **self.craft(attack)}
        identity = {"attack": identified(attack), "images": images, "seed": self.seed}
        self.add("spectrum", identity, parents, f"spectrum of {attack}", attack=str(attack), images=images)
