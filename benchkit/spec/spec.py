"""What was asked for: component strings, suite files and options become one validated Spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchkit.components.baseline import NoDefense
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.errors import SpecError, did_you_mean, plugin_errors
from benchkit.params.build import build
from benchkit.params.component import Component
from benchkit.params.grammar import pieces, quoted
from benchkit.records.record import LARGEST_SEED
from benchkit.spec.registry import Registry
from benchkit.training.recipes import RECIPES, Recipe

MOST_SEEDS = 10_000
"""A larger count is taken for a seed that was meant alone."""
MOST_MODELS = 100_000
"""More shadow models, or models of a population, nobody can train; to plan them alone would not end."""


@dataclass(frozen=True)
class Spec:
    """A validated request: the axes of the matrix and how to train.

    Attributes:
        population: models of each kind, backdoored and benign, that a model detector judges; 0: the victims alone.
        others: the datasets that defenses asked for, by the text they asked with.
        optional: components that only ``all`` asked for: left out where the images do not suit them.
    """

    attacks: tuple[Attack, ...]
    defenses: tuple[Defense, ...]
    datasets: tuple[Dataset, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    poison_rates: tuple[float, ...]
    recipe: Recipe
    victims: bool = True
    population: int = 0
    others: tuple[tuple[str, Dataset], ...] = ()
    optional: frozenset[Component] = frozenset()

    def sources(self) -> list[Dataset]:
        """Return every dataset that is read: the matrix's own and those that defenses learn from."""
        return list(dict.fromkeys([*self.datasets, *(dataset for _, dataset in self.others)]))


def components(text: str, kind: str, registry: Registry) -> list[Any]:
    """Return the components a string asks for; ``all`` stands for every one.

    ``-name`` takes away every variant of a component, ``-name:PARAMETER=VALUE`` those that have the parameter so.

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
    """Return a component class; where there is none, the name may be the rest of the value before it."""
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
    """Return what ``all`` stands for: every component that needs no other to stand on."""
    classes = [registry.get(kind, name) for name in sorted(registry.kind(kind))]
    return [cls for cls in classes if cls.in_all]


def _swept_in(text: str, chosen: Iterable[Component]) -> set[Component]:
    """Return the components that a text asks for by ``all`` alone."""
    named = {name for name, _ in pieces(text)}
    return {one for one in chosen if one.name not in named}


def component(text: str, kind: str, registry: Registry) -> Any:
    """Return the one component a string asks for."""
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


def seeds(text: str) -> tuple[int, ...]:
    """Return seeds: ``3`` means 0, 1, 2; ``0,5,7`` (or ``5,``) means those."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdecimal() for word in words):
        raise SpecError(f"seeds must be a count (3) or a list (0,5,7), got '{text}'")
    if any(len(word) > len(str(LARGEST_SEED)) or int(word) > LARGEST_SEED for word in words):
        raise SpecError(f"a seed is at most {LARGEST_SEED}, got '{text}'")
    numbers = tuple(dict.fromkeys(int(word) for word in words))
    if "," in text:
        return numbers
    if numbers[0] == 0:
        raise SpecError("a count of 0 seeds runs nothing: ask for 1 or more, or write '0,' for the seed 0")
    if numbers[0] > MOST_SEEDS:
        raise SpecError(f"{numbers[0]} seeds are too many: for the seed of that number alone write '{numbers[0]},'")
    return tuple(range(numbers[0]))


def models(text: str) -> tuple[str, ...]:
    """Return the names of networks, each once; whether somebody can build them is seen later.

    Raises:
        SpecError: when a network is given parameters, or is to be taken away.
    """
    named = pieces(text)
    for name, raw in named:
        if raw:
            raise SpecError(f"a model takes no parameters: write {name} alone")
        if name.startswith("-") or name == "all":
            raise SpecError(f"models are named one by one, got '{name}'")
    return tuple(dict.fromkeys(name for name, _ in named))


def poison_rates(text: str) -> tuple[float, ...]:
    """Return poison rates as shares of the training set, each above 0 and under 1."""
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
    """Return how many models of each kind a model detector of these defenses judges: 0, or 2 and more."""
    if not (text.isascii() and text.isdecimal()) or text == "1":
        raise SpecError(
            f"population must be a whole number of models, 2 or more, or 0 for the victims alone, got '{text}'"
        )
    if len(text) > len(str(MOST_MODELS)) or int(text) > MOST_MODELS:
        raise SpecError(f"a population of {text} is too large: ask for {MOST_MODELS} models or fewer")
    if int(text) and not any(one.kind == "model detector" for one in defenses):
        raise SpecError(
            f"a population of {text} is for model detectors to judge, and none was asked for: "
            "name one, such as neural-cleanse, or leave it out (--population 0)"
        )
    return int(text)


def make(options: Mapping[str, str | bool], registry: Registry) -> Spec:
    """Build a Spec from texts keyed as in ``SUITE_KEYS``; with victims, the no-defense column is always there."""
    text = {key: str(value) for key, value in options.items()}
    victims = bool(options["victims"])
    defenses = components(text["defenses"], "defenses", registry) if text["defenses"] else []
    columns = dict.fromkeys([NoDefense(), *defenses] if victims else defenses)
    attacks = components(text["attacks"], "attacks", registry)
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
        population=population(text["population"], defenses),
        others=tuple((other, component(other, "datasets", registry)) for other in wanted),
        optional=frozenset(_swept_in(text["attacks"], attacks) | _swept_in(text["defenses"] or "none", defenses)),
    )


def unsuitable(spec: Spec, dataset: Dataset, shape: tuple[int, int, int], classes: int) -> dict[Attack | Defense, str]:
    """Return the attacks and defenses that ``all`` swept in and that such images do not suit, with the reason.

    Raises:
        SpecError: naming every component that was asked for by name and cannot run there.
    """
    asked: tuple[Attack | Defense, ...] = (*spec.attacks, *spec.defenses)
    found = {one: fault for one in asked if (fault := _fault(one, shape, classes))}
    faults = [f"{one} on {dataset}: {fault}" for one, fault in found.items() if one not in spec.optional]
    if faults:
        raise SpecError("; ".join(faults))
    return found


def _fault(one: Attack | Defense, shape: tuple[int, int, int], classes: int) -> str | None:
    with plugin_errors(one.name):
        return one.check(shape, classes)
