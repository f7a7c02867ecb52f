"""The plans behind figures: a step for each attack, with what it reads, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchkit.components.baseline import NoAttack
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.errors import SpecError
from benchkit.plan.fingerprint import identified
from benchkit.plan.job import DATA, VICTIM
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
    panels = _panels(spec, fingerprints, model_code)
    for attack in dict.fromkeys([NoAttack(), *spec.attacks]):
        panels.spectrum(attack, images)
    return panels.plan


def plan_features(
    spec: Spec, fingerprints: Mapping[Dataset, str], model_code: Callable[[str], str], images: int
) -> Plan:
    """Lay out one ``features`` step for each attack, with its victim; they are the plan's targets.

    Args:
        images: test images of each kind; all of them where there are fewer.

    Raises:
        SpecError: when the spec has more than one dataset, model, seed or poison rate: a figure shows one.
    """
    if len(spec.poison_rates) != 1:
        raise SpecError(f"a figure shows one poison rate, got {len(spec.poison_rates)}: draw one figure for each")
    panels = _panels(spec, fingerprints, model_code)
    for attack, rate in panels.attacks():
        panels.features(attack, rate, images)
    return panels.plan


def _panels(spec: Spec, fingerprints: Mapping[Dataset, str], model_code: Callable[[str], str]) -> _Panels:
    for noun, named in (("dataset", spec.datasets), ("model", spec.models), ("seed", spec.seeds)):
        if len(named) != 1:
            raise SpecError(f"a figure shows one {noun}, got {len(named)}: draw one figure for each")
    (dataset,), (model,), (seed,) = spec.datasets, spec.models, spec.seeds
    return _Panels(Plan(), spec, dataset, fingerprints, model, model_code, seed)


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

    def features(self, attack: Attack, rate: float, images: int) -> None:
        """Add the step that asks a victim for its features of images with and without the trigger."""
        parents = {DATA: self.data(), VICTIM: self.train(attack, rate), **self.craft(attack)}
        identity = {"attack": identified(attack), "rate": rate, "images": images, **self._net(), "seed": self.seed}
        job = {"attack": str(attack), "poison_rate": rate, "images": images}
        self.add("features", identity, parents, f"features of {attack}", **job)
