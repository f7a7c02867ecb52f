"""The first line of ``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Collection

from benchkit.plan.job import CRAFT
from benchkit.plan.steps import Plan, Step
from benchkit.spec.spec import Spec
from benchkit.store.store import Store


def summary(made: Plan, store: Store, spec: Spec, part: str = "") -> str:
    """Return the line with the size of the product, or of this shard, and the number of models to train."""
    missing = made.missing(store)
    victims = [step for step in made.of("train") if step.job.purpose == "train"]
    cached = sum(1 for step in victims if made.done(step, store))
    todo = sum(1 for step in victims if step.key in missing)
    cells_done = sum(1 for key in made.cells if key not in missing)
    shard = f", shard {part}" if part else ""
    return (
        f"{product(spec)}{shard} = {_count(len(made.cells), 'cell')}, {cells_done} done; "
        f"{_count(len(victims), 'victim')}: {cached} cached, {todo} to train; "
        f"{_others(made, missing)}{_count(len(missing), 'step')} to run"
    )


def product(spec: Spec) -> str:
    """Return the axes of the matrix with their lengths, such as ``2 attacks x 1 defense x ...``."""
    axes = [
        _count(len(spec.attacks), "attack"),
        _count(len(spec.defenses), "defense"),
        _count(len(spec.datasets), "dataset"),
        _count(len(spec.models), "model"),
        _count(len(spec.seeds), "seed"),
        *([_count(len(spec.poison_rates), "poison rate")] if len(spec.poison_rates) > 1 else []),
    ]
    return " x ".join(axes)


def _others(made: Plan, missing: Collection[str]) -> str:
    """Return the number of models for crafting and for model detectors: shadows, populations.

    Users may not expect models for crafting, which take long on large images, so the text names their attacks.
    """
    own = [step for step in made.of("train") if step.job.purpose == "surrogate"]
    keys = {step.key for step in own}
    users = [step for step in made.of("craft") + made.of("poison") if keys & {key for _, key in step.parents.values()}]
    users = [step for step in users if CRAFT not in step.parents]  # what is crafted was named with its own step
    crafted = ", ".join(dict.fromkeys(step.job.attack for step in users))
    many = made.of("shadows") + made.of("population")
    return _trained(own, f"attackers to craft {crafted}", missing) + _trained(many, "model detectors", missing)


def _trained(steps: list[Step], whom: str, missing: Collection[str]) -> str:
    todo = sum(step.models for step in steps if step.key in missing)
    return f"{_count(sum(step.models for step in steps), 'model')} for {whom}, {todo} to train; " if steps else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
