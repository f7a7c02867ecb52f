"""Parameters, declared once: ``param()`` on a dataclass field gives validation, listing, key and label."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from dataclasses import dataclass
from typing import Any, ClassVar

from benchkit.errors import did_you_mean
from benchkit.params.grammar import quoted

Value = int | float | bool | str


@dataclass(frozen=True)
class Param:
    """The accepted values of one field of a component. A bound is None if there is none; ``auto`` is also accepted."""

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[Value, ...] | None = None
    used_by_prepare: bool = True
    used_by_fit: bool = True
    used_by_training: bool = True
    auto: float | None = None

    def bounds(self) -> str:
        """Return the bounds as text, such as ``>= 1, <= 9``, ``add | replace`` or ``0 | >= 2``."""
        if self.choices is not None:
            return " | ".join(str(choice) for choice in self.choices)
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        inside = ", ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)
        return inside if self.auto is None else f"{self.auto:g} | {inside}"

    def fault(self, value: Value) -> str | None:
        """Return the error of a coerced value, or None."""
        if self.choices is not None:
            if value in self.choices:
                return None
            names = [str(choice) for choice in self.choices]
            return f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"
        if isinstance(value, str) or value == self.auto:
            return None
        inside = (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )
        return None if inside else f"must be {self.bounds()}, got {value}"


def param(
    default: Value,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[Value, ...] | None = None,
    used_by_prepare: bool = True,
    used_by_fit: bool = True,
    used_by_training: bool = True,
    auto: float | None = None,
) -> Any:
    """Declare one parameter of a component: a dataclass field with a default, a description and bounds.

    The field's annotation must be ``int``, ``float``, ``bool`` or ``str``. Values given as text are converted to it; a
    float may also be written as a fraction (``1/3``). ``used_by_prepare=False`` states that ``prepare`` does not use
    it, so that a change does not repeat ``prepare``; ``used_by_fit=False`` states the same of a defense's ``fit``,
    ``used_by_training=False`` of an attack's ``poison`` and ``train``.
    ``auto`` is a number outside the bounds with which the component chooses the value itself.
    """
    meta = Param(help, ge, gt, le, lt, choices, used_by_prepare, used_by_fit, used_by_training, auto)
    return dataclasses.field(default=default, metadata={"param": meta})


def nested(default: Component, help: str) -> Any:
    """Declare a parameter that is itself a component, such as the attack of a wrapper.

    The field's annotation is the contract (``benchkit.Attack``). Users give its name, and its own parameters after a
    dot: ``invisible:base=blend,base.alpha=0.3``. The default has default parameters.
    """
    return dataclasses.field(default=default, metadata={"param": Param(help)})


@dataclass(frozen=True)
class Component:
    """The base of all classes with a name and parameters: attacks, defenses, datasets, recipes.

    A component is a frozen dataclass whose fields are its parameters. ``str(component)`` is its canonical spec
    (``badnets:size=5``, only non-default values, quoted if necessary) and parses back to an equal component.

    Class attributes:
        name: the name that users type.
        paper: author, venue and year, title.
        version: replaces the fingerprint of the code in keys.
        in_all: False for components that depend on another one or are of little use without other options; ``all``
            omits them.
        prepared_as: components of one module with the same value share the result of ``prepare``, if the parameters
            that it uses are equal.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    version: ClassVar[str | None] = None
    in_all: ClassVar[bool] = True
    prepared_as: ClassVar[str] = ""

    def __str__(self) -> str:
        return self._spelled

    @functools.cached_property
    def _spelled(self) -> str:  # a plan asks each component for every cell
        changed = [f"{name}={quoted(value)}" for name, value in self.changed().items()]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    def changed(self) -> dict[str, str]:
        """Return the parameters that differ from their defaults, as text; those of a nested one after a dot."""
        found: dict[str, str] = {}
        for field in dataclasses.fields(self):
            value, default = getattr(self, field.name), field.default
            if not isinstance(value, Component):
                found |= {field.name: text(value)} if value != default else {}
                continue
            found |= {field.name: value.name} if value.name != getattr(default, "name", "") else {}
            found |= {f"{field.name}.{name}": inner for name, inner in value.changed().items()}
        return found

    def nested(self) -> dict[str, Component]:
        """Return the parameters that are components."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Component)}

    def params(self) -> dict[str, Value]:
        """Return every parameter with its value, defaults included, ready for JSON; a nested one as text."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: str(value) if isinstance(value, Component) else value for name, value in values.items()}

    def prepare_params(self) -> dict[str, Value]:
        """Return the parameters that ``prepare`` depends on."""
        meta = fields_of(type(self))
        return {name: value for name, value in self.params().items() if meta[name][2].used_by_prepare}

    def fit_params(self) -> dict[str, Value]:
        """Return the parameters that a defense's ``fit`` depends on."""
        meta = fields_of(type(self))
        return {name: value for name, value in self.params().items() if meta[name][2].used_by_fit}

    def training_params(self) -> dict[str, Value]:
        """Return the parameters that an attack's ``poison`` and ``train`` depend on."""
        meta = fields_of(type(self))
        return {name: value for name, value in self.params().items() if meta[name][2].used_by_training}


def text(value: Value) -> str:
    """Return a value as the command line reads it, except for quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _fields_of(cls: Any) -> dict[str, tuple[type, Any, Param]]:
    hints = typing.get_type_hints(cls)
    return {
        field.name: (hints[field.name], field.default, field.metadata["param"]) for field in dataclasses.fields(cls)
    }


def fields_of(cls: type[Any]) -> dict[str, tuple[type, Any, Param]]:
    """Return ``{name: (type, default, Param)}`` for a component class, in declaration order."""
    found: Any = cls  # mypy does not know that the type of a dataclass is hashable
    return _fields_of(found)


NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RESERVED = ("all",)
"""Words with a special meaning, which cannot be names."""


def name_fault(name: object) -> str | None:
    """Return why something cannot be the name of a component, which users type on a command line, or None."""
    if not name:
        return "has no name: give it a class attribute name = '...'"
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        how = "lower-case letters, digits and single hyphens, starting with a letter, such as my-attack"
        return f"{name!r} cannot be a name: use {how}"
    return f"'{name}' cannot be a name, since it stands for every one: choose another" if name in RESERVED else None


def class_fault(cls: type[Component]) -> str | None:
    """Return why a component class cannot be used (a forgotten ``@dataclass``, no name), or None."""
    made = cls.__dict__.get("__dataclass_params__")
    if made is None or not made.frozen:
        return f"{cls.__qualname__} is not a frozen dataclass: put @dataclass(frozen=True) on it"
    if fault := name_fault(cls.name):
        return f"{cls.__qualname__} {fault}" if not cls.name else f"{cls.__qualname__}: {fault}"
    for field in dataclasses.fields(cls):
        if "param" not in field.metadata:
            return f"{cls.__qualname__}.{field.name} is not declared with benchkit.param(...)"
        if isinstance(field.default, Component) and field.default.changed():
            return f"{cls.__qualname__}.{field.name} has a default with parameters of its own: leave them out"
    return None
