"""The request: component strings, suite files and options become one validated Spec."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchkit.components.baseline import NoDefense
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.errors import SpecError, did_you_mean, plugin_errors
from benchkit.params.build import build
from benchkit.params.component import Component
from benchkit.params.grammar import pieces, quoted, seeds
from benchkit.spec.registry import Registry
from benchkit.training.recipes import RECIPES, Recipe

MOST_MODELS = 100_000
"""Maximum number of shadow models, or of models in a population; with more, even the plan would not end."""


@dataclass(frozen=True)
class Spec:
    """A validated request: the axes of the matrix and the training.

    Attributes:
        population: number of models of each kind, backdoored and benign, that a model detector judges; 0: only the
            victims.
        retune: retune each repaired model with a few poisons, and measure plain fine-tuning beside it.
        others: the datasets that defenses requested, by their text.
        optional: components from ``all`` alone, which are omitted if they do not suit the images.
    """

    attacks: tuple[Attack, ...]
    defenses: tuple[Defense, ...]
    datasets: tuple[Dataset, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    poison_rates: tuple[float, ...]
    recipe: Recipe
    victims: bool = True
    retune: bool = False
    population: int = 0
    others: tuple[tuple[str, Dataset], ...] = ()
    optional: frozenset[Component] = frozenset()

    def sources(self) -> list[Dataset]:
        """Return every dataset to read: those of the matrix and those from which defenses learn."""
        return list(dict.fromkeys([*self.datasets, *(dataset for _, dataset in self.others)]))


def components(text: str, kind: str, registry: Registry) -> list[Any]:
    """Return the components in a string; ``all`` stands for every one.

    ``-name`` removes every variant of a component, ``-name:PARAMETER=VALUE`` those with this value of the parameter.

    Raises:
        SpecError: for unknown names and bad parameters.
    """
    chosen: list[Component] = []
    before: Mapping[str, str] = {}
    for name, raw in pieces(text):
        if name == "-all":
            raise SpecError("'-all' takes everything away: leave it out")
        if name == "all":
            chosen += [build(cls, raw, registry.find) for cls in _everything(kind, registry)]
        elif name.startswith("-"):
            gone = build(registry.get(kind, name[1:]), raw, registry.find)
            stated = [key.replace("-", "_").partition(".")[0] for key in raw]
            chosen = [one for one in chosen if one.name != gone.name or _differs(one, gone, stated)]
        else:
            chosen.append(build(_known(kind, name, registry, before), raw, registry.find))
        before = raw
    return list(dict.fromkeys(chosen))


def _known(kind: str, name: str, registry: Registry, before: Mapping[str, str]) -> type[Any]:
    """Return a component class; an unknown name may be the rest of the value before it, which the error says."""
    try:
        return registry.get(kind, name)
    except SpecError as error:
        raise SpecError(f"{error}{_or_quote(name, before)}") from None


def _or_quote(rest: str, before: Mapping[str, str]) -> str:
    if not before:
        return ""
    key, value = list(before.items())[-1]
    return f"; a comma separates, so if it belongs to the value, quote that: {key}={quoted(f'{value},{rest}')}"


def _differs(one: Component, other: Component, params: Iterable[str]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in params)


def _everything(kind: str, registry: Registry) -> list[type[Any]]:
    """Return the components of ``all``: every one that does not depend on another."""
    classes = [registry.get(kind, name) for name in sorted(registry.kind(kind))]
    return [cls for cls in classes if cls.in_all]


def _named(text: str, kind: str, registry: Registry) -> set[Component]:
    """Return the components that a text names, rather than sweeps in through ``all``."""
    named = [piece for piece in pieces(text) if piece[0] != "all" and not piece[0].startswith("-")]
    return {build(registry.get(kind, name), raw, registry.find) for name, raw in named}


def component(text: str, kind: str, registry: Registry) -> Any:
    """Return the only component in a string."""
    (name, raw), *more = pieces(text)
    if more:
        raise SpecError(f"'{text}' names more than one {kind[:-1]}{_or_quote(more[0][0], raw)}")
    return build(registry.get(kind, name), raw, registry.find)


def recipe(text: str) -> Recipe:
    """Return a training recipe from ``fast`` or ``standard:epochs=20``."""
    (name, raw), *more = pieces(text)
    if name not in RECIPES or more:
        raise SpecError(f"there is no recipe called '{text}'{did_you_mean(name, RECIPES)}: use {' or '.join(RECIPES)}")
    return build(RECIPES[name], raw)


def models(text: str) -> tuple[str, ...]:
    """Return the names of networks, each once; whether they exist is checked later.

    Raises:
        SpecError: if a network has parameters or a minus sign.
    """
    named = pieces(text)
    for name, raw in named:
        if raw:
            raise SpecError(f"a model takes no parameters: write {name} alone")
        if name.startswith("-") or name == "all":
            raise SpecError(f"models are named one by one, got '{name}'")
    return tuple(dict.fromkeys(name for name, _ in named))


def poison_rates(text: str) -> tuple[float, ...]:
    """Return poison rates as shares of the training set, each above 0 and below 1."""
    rates = []
    for word in (part.strip() for part in text.split(",")):
        try:
            rate = float(word)
        except ValueError:
            raise SpecError(f"poison rate must be a number, got '{word}'") from None
        if not 0 < rate < 1:
            raise SpecError(f"poison rate must be above 0 and under 1, got {word}: 0.1 poisons ten percent")
        rates.append(rate)
    return tuple(dict.fromkeys(rates))


def population(text: str, defenses: Iterable[Defense]) -> int:
    """Return the number of models of each kind that model detectors judge: 0, or at least 2."""
    if not (text.isascii() and text.isdecimal()) or text == "1":
        raise SpecError(
            f"population must be a whole number of models, 2 or more, or 0 for the victims alone, got '{text}'"
        )
    if len(text) > len(str(MOST_MODELS)) or int(text) > MOST_MODELS:
        raise SpecError(f"a population of {text} is too large: ask for {MOST_MODELS} models or fewer")
    if int(text) and not any(one.kind == "model detector" for one in defenses):
        raise SpecError(
            f"a population of {text} needs a model detector: "
            "name one, such as neural-cleanse, or leave it out (--population 0)"
        )
    return int(text)


def retune(asked: bool, defenses: Iterable[Defense]) -> bool:
    """Return whether repaired models are retuned.

    Raises:
        SpecError: if that is asked for and there is none.
    """
    if asked and not any("retune" in one.reads_steps for one in defenses):
        raise SpecError("--retune is for model repairs: name one, such as fine-tuning, or leave it out")
    return asked


def make(options: Mapping[str, str | bool], registry: Registry) -> Spec:
    """Build a Spec from texts keyed as in ``SUITE_KEYS``; with victims, the no-defense column is always included."""
    text = {key: str(value) for key, value in options.items()}
    victims = bool(options["victims"])
    defenses = components(text["defenses"], "defenses", registry) if text["defenses"] else []
    columns = dict.fromkeys([NoDefense(), *defenses] if victims else defenses)
    attacks = components(text["attacks"], "attacks", registry)
    named = _named(text["attacks"], "attacks", registry) | _named(text["defenses"] or "none", "defenses", registry)
    wanted = dict.fromkeys(other for one in defenses for other in one.other_datasets())
    return Spec(
        attacks=tuple(attacks),
        defenses=tuple(one for one in columns if victims or not isinstance(one, NoDefense)),
        datasets=tuple(components(text["datasets"], "datasets", registry)),
        models=models(text["models"]),
        seeds=seeds(text["seeds"]),
        poison_rates=poison_rates(text["poison_rate"]),
        recipe=recipe(text["recipe"]),
        victims=victims,
        retune=retune(bool(options.get("retune")), defenses),
        population=population(text["population"], defenses),
        others=tuple((other, component(other, "datasets", registry)) for other in wanted),
        optional=frozenset({*attacks, *defenses} - named),
    )


def unsuitable(
    spec: Spec, dataset: Dataset, shape: tuple[int, int, int], classes: int, attributes: Collection[str] = ()
) -> dict[Attack | Defense, str]:
    """Return the attacks and defenses from ``all`` that do not suit such images, with the reason.

    Args:
        spec: what was asked for.
        dataset: whose images they are.
        shape: of each, (C, H, W).
        classes: number of classes.
        attributes: names of what else the dataset says of them.

    Raises:
        SpecError: names every component that was requested by name and cannot run on the images.
    """
    asked: tuple[Attack | Defense, ...] = (*spec.attacks, *spec.defenses)
    found = {one: fault for one in asked if (fault := _fault(one, shape, classes) or _unknown(one, attributes))}
    faults = [f"{one} on {dataset}: {fault}" for one, fault in found.items() if one not in spec.optional]
    if faults:
        raise SpecError("; ".join(faults))
    return found


def _fault(one: Attack | Defense, shape: tuple[int, int, int], classes: int) -> str | None:
    with plugin_errors(one.name):
        return one.check(shape, classes)


def _unknown(one: Attack | Defense, attributes: Collection[str]) -> str | None:
    """Return the sentence for an attribute that the dataset does not hand out, or None."""
    lacking = sorted(set(one.attributes()) - set(attributes)) if isinstance(one, Attack) else []
    there = ", ".join(sorted(attributes)) or "none"
    return f"its images have no attribute {lacking[0]} (there are: {there})" if lacking else None
