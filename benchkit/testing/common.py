"""The checks of all kinds of plugins: a usable declaration, specs that parse back, repeatability."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from benchkit.contracts.data import Split, Tensors, Unlabelled
from benchkit.params.build import COERCE, build
from benchkit.params.component import Component, Param, Value, class_fault, fields_of
from benchkit.store.tensors import pack, unpack
from benchkit.testing.check import Check, Subject, require
from benchkit.testing.pretended import GPU
from benchkit.testing.world import World, world, worlds_for

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.scene import Scene

T = TypeVar("T")
C = TypeVar("C", bound=Component)


def class_of(subject: Subject) -> type[Component]:
    """Return the class of a component, or the class itself."""
    return subject if isinstance(subject, type) else type(subject)


def made(subject: Subject) -> Component:
    """Return a component with default parameters, or the given one."""
    if not isinstance(subject, type):
        return subject
    check_usable_class(subject)
    return subject()


def check_usable_class(cls: type[Component]) -> None:
    """A class is a frozen dataclass with a name, declared parameters and no abstract methods."""
    fault = class_fault(cls)
    require(fault is None, str(fault))
    missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
    require(not missing, f"{cls.__qualname__} does not define {missing}: write it")


def check_name(cls: type[Component]) -> None:
    """A name is in kebab-case."""
    right = re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cls.name) is not None
    require(right, f"{cls.__qualname__}.name is {cls.name!r}: write it in lower case with hyphens, 'my-name'")


def check_docstring(cls: type[Component]) -> None:
    """A class has its own docstring; a dataclass without one gets its signature as docstring."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    written = bool(text) and not text.startswith(f"{cls.__name__}(")
    require(written, f"{cls.__qualname__} has no docstring: its first line is what `benchkit show` prints")


def check_parameters(cls: type[Component]) -> None:
    """Each parameter has a simple type, a description, and a default within its bounds."""
    for name, (kind, default, meta) in fields_of(cls).items():
        where = f"{cls.__qualname__}.{name}"
        require(bool(meta.help.strip()), f"{where} has no help: say what it is, with its unit")
        if isinstance(default, Component):
            require(isinstance(default, kind), f"{where} is annotated {kind.__name__} but its default is {default}")
            continue
        require(kind in COERCE, f"{where} is annotated {kind!r}: use int, float, bool or str")
        fits = isinstance(default, kind) or (kind is float and type(default) is int)
        require(fits, f"{where} is annotated {kind.__name__} but its default is {default!r}")
        fault = meta.fault(default)
        require(fault is None, f"the default of {where} is outside its own bounds: {fault}")


def check_spec_round_trip(component: Component) -> None:
    """The result of ``str``, with defaults and with each parameter changed, parses back to an equal component."""
    from benchkit.params.grammar import pieces

    for one in variations(component):
        text = str(one)
        (name, raw), *more = pieces(text)
        require(not more and name == one.name, f"'{text}' reads back as several components: no commas in values")
        again = build(type(one), raw)
        require(again == one, f"'{text}' reads back as '{again}': do not change parameters in __post_init__")


def variations(component: C) -> Iterator[C]:
    """Yield the component, and one copy per parameter with another allowed value of it."""
    yield component
    for name, inner in component.nested().items():
        yield from (dataclasses.replace(component, **{name: other}) for other in list(variations(inner))[1:2])
    for name, (kind, default, meta) in fields_of(type(component)).items():
        if isinstance(default, Component):
            continue
        for value in _others(kind, getattr(component, name), meta):
            if meta.fault(value) is None:
                yield dataclasses.replace(component, **{name: value})
                break


def _others(kind: type, value: Any, meta: Param) -> list[Value]:
    if meta.choices is not None:
        return [choice for choice in meta.choices if choice != value]
    if kind is bool:
        return [not value]
    if kind is str:
        return [f"{value}x"]
    if kind is int:
        return [value + 1, value - 1]
    return [value + 0.125, value - 0.125, value * 0.75]


def check_refusal(component: Attack | Defense) -> None:
    """``check`` returns None or one sentence for any image size and number of classes."""
    for shape, classes in (((3, 32, 32), 10), ((1, 8, 8), 2), ((3, 224, 160), 1000)):
        answer = component.check(shape, classes)
        sentence = answer is None or (isinstance(answer, str) and answer.strip() != "" and "\n" not in answer)
        require(sentence, f"{component.name}.check must return None or one sentence, got {answer!r}")


def require_stored(name: str, what: str, tensors: Tensors) -> None:
    """Require that tensors can be stored as they are."""
    require(same(tensors, unpack(pack(tensors))), f"what {name}.{what} returns changes when it is stored")


def home(component: Attack | Defense) -> World:
    """Return the smallest toy world that the component accepts."""
    accepted = worlds_for(component)
    require(bool(accepted), f"{component.name}.check refuses every toy world (16, 32 and 64 pixels, 4 classes)")
    return accepted[0]


def far(component: Attack | Defense) -> World:
    """Return that world on a GPU, to be used inside of :func:`benchkit.testing.pretended.gpu`."""
    near = home(component)
    return world(near.channels, near.side, GPU)


def same(first: Tensors, second: Tensors) -> bool:
    """Return whether two mappings hold equal tensors under equal names."""
    return first.keys() == second.keys() and all(alike(first[name], second[name]) for name in first)


def alike(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors are equal in dtype, shape and every value."""
    return first.dtype == second.dtype and torch.equal(first, second)


def unchanged(split: Split, before: Split) -> bool:
    """Return whether a split is unchanged."""
    bare = isinstance(split, Unlabelled)
    return alike(split.images, before.images) and (bare or alike(split.labels, before.labels))


def require_untouched(method: str, scene: Scene, where: World, *, model: bool = True) -> None:
    """Require that a defender's clean images, and its ``model``, are as a world handed them out."""
    untouched = scene.held is None or unchanged(scene.held, where.holdout)
    require(untouched, f"{method} writes into scene.clean: clone it")
    known = scene.known is None or unchanged(scene.known, where.poisoned.data)
    require(known, f"{method} writes into scene.train: clone it")
    if model and scene.granted is not None:
        fixed = same(scene.granted.state(), where.victim.state()) and not scene.granted.training
        require(fixed, f"{method} changes scene.model: work on scene.model.copy()")


SIZES = (1, 7)
MANY = 600
"""A batch larger than those that a model is asked in."""
ROUNDING = 0.05, 2
"""How far a result may depend on the other images: as a share of the range of scores, and in grey levels. Kernels for
batches of other sizes round differently."""


def check_any_batch(
    name: str, run: Callable[[Tensor, Scene], Tensor], where: World, scene_for: Callable[[], Scene]
) -> None:
    """Require that one image, an odd number and a large batch are accepted, and have results of their own.

    What a method draws from ``scene.rng`` depends on the number of images, so that only results without any draws are
    compared.

    Args:
        name: of the method.
        run: calls the method, and checks its result.
        where: the world of the images.
        scene_for: makes a new scene.
    """
    images = where.inputs.repeat(-(-MANY // len(where.inputs)), 1, 1, 1)[:MANY]
    scene = scene_for()
    before = scene.rng.get_state()
    whole, drawn = run(images.clone(), scene), not scene.rng.get_state().equal(before)
    for count in SIZES:
        part = run(images[:count].clone(), scene_for())
        require(
            drawn or _near(part, whole[:count], whole),
            f"{name} gives other results for the first {count} of {MANY} images if they are alone: an image's result "
            "must not depend on the other images",
        )


def _near(first: Tensor, second: Tensor, among: Tensor) -> bool:
    share, levels = ROUNDING
    most = levels if among.dtype == torch.uint8 else share * float(among.max() - among.min()) + 1e-6
    return float((first.double() - second.double()).abs().max()) <= most


DECLARATION: tuple[Callable[[Any], None], ...] = (check_usable_class, check_name, check_docstring, check_parameters)


def declaration_checks(subject: Subject) -> list[Check]:
    """Return the checks of the declarations of a class; none of its methods run."""
    named = [Check(subject, function, class_of) for function in DECLARATION]
    return [*named, Check(subject, check_spec_round_trip, made)]


def contract_checks(subject: Subject, functions: tuple[Callable[[Any], None], ...]) -> list[Check]:
    """Return the declaration checks, then the given ones, which are called with a component."""
    return declaration_checks(subject) + [Check(subject, function, made) for function in functions]
