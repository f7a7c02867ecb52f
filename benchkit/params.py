"""Parameters, declared once: ``param()`` on a dataclass field gives validation, listing, key and label."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, TypeVar

from benchkit.errors import SpecError, did_you_mean

Value = int | float | bool | str


@dataclass(frozen=True)
class Param:
    """What one field of a component accepts. Bounds are None where there is none."""

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[Value, ...] | None = None
    prepares: bool = True

    def bounds(self) -> str:
        """Return the bounds as people write them, such as ``>= 1, <= 9`` or ``add | replace``."""
        if self.choices is not None:
            return " | ".join(str(choice) for choice in self.choices)
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        return ", ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def fault(self, value: Value) -> str | None:
        """Return what is wrong with a coerced value, or None."""
        if self.choices is not None:
            if value in self.choices:
                return None
            names = [str(choice) for choice in self.choices]
            return f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"
        if isinstance(value, str):
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
    prepares: bool = True,
) -> Any:
    """Declare one parameter of a component: a dataclass field with a default, a sentence and bounds.

    The field's annotation must be ``int``, ``float``, ``bool`` or ``str``. Values given as text are
    converted to it; a float may also be written as a fraction (``1/3``). ``prepares=False`` says that
    ``prepare`` does not look at it, so that changing it makes nothing again that ``prepare`` made.
    """
    meta = Param(help, ge, gt, le, lt, choices, prepares)
    return dataclasses.field(default=default, metadata={"param": meta})


@dataclass(frozen=True)
class Component:
    """The base of everything that has a name and parameters: attacks, defenses, datasets, recipes.

    A component is a frozen dataclass whose fields are its parameters. ``str(component)`` is its
    canonical spec (``badnets:size=5``, non-default values only) and parses back to an equal one.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    version: ClassVar[str | None] = None

    def __str__(self) -> str:
        changed = [
            f"{field.name}={text(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    def params(self) -> dict[str, Value]:
        """Return every parameter with its value, defaults included, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def prepare_params(self) -> dict[str, Value]:
        """Return the parameters that ``prepare`` depends on."""
        meta = fields_of(type(self))
        return {name: value for name, value in self.params().items() if meta[name][2].prepares}


C = TypeVar("C", bound=Component)


def text(value: Value) -> str:
    """Write a value the way the command line reads it back."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _fields_of(cls: Any) -> dict[str, tuple[type, Any, Param]]:
    hints = typing.get_type_hints(cls)
    return {
        field.name: (hints[field.name], field.default, field.metadata["param"]) for field in dataclasses.fields(cls)
    }


def fields_of(cls: type[Any]) -> dict[str, tuple[type, Any, Param]]:
    """Return ``{name: (type, default, Param)}`` for a component class, in declaration order."""
    found: Any = cls  # mypy does not see that a dataclass's type is hashable
    return _fields_of(found)


def class_fault(cls: type[Component]) -> str | None:
    """Return why a component class cannot be used (a forgotten ``@dataclass``, no name), or None."""
    made = cls.__dict__.get("__dataclass_params__")
    if made is None or not made.frozen:
        return f"{cls.__qualname__} is not a frozen dataclass: put @dataclass(frozen=True) on it"
    if not cls.name:
        return f"{cls.__qualname__} has no name: give it a class attribute name = '...'"
    for field in dataclasses.fields(cls):
        if "param" not in field.metadata:
            return f"{cls.__qualname__}.{field.name} is not declared with benchkit.param(...)"
    return None


def _to_bool(raw: Value) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    return words[str(raw).lower()]


def _to_int(raw: Value) -> int:
    number = _to_float(raw)
    if number != int(number):
        raise ValueError
    return int(number)


def _to_float(raw: Value) -> float:
    if isinstance(raw, bool):
        raise ValueError
    number = float(Fraction(raw)) if isinstance(raw, str) and "/" in raw else float(raw)
    if not math.isfinite(number):
        raise ValueError
    return number


def _to_str(raw: Value) -> str:
    word = text(raw)
    if "," in word:
        raise ValueError
    return word


COERCE: dict[type, tuple[Callable[[Value], Value], str]] = {
    bool: (_to_bool, "true or false"),
    int: (_to_int, "a whole number"),
    float: (_to_float, "a number"),
    str: (_to_str, "text without a comma"),
}


def _coerced(kind: type, meta: Param, raw: Value) -> tuple[Value | None, str | None]:
    convert, expected = COERCE[kind]
    try:
        value = convert(raw)
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return None, f"must be {expected}, got {str(raw)!r}"
    return value, meta.fault(value)


def build(cls: type[C], raw: Mapping[str, Value]) -> C:
    """Make a component from raw parameter values (text or numbers).

    Raises:
        SpecError: naming every fault at once, with a suggestion for each misspelt parameter.
    """
    known, values, faults = fields_of(cls), {}, []
    for given, value in raw.items():
        name = given.replace("-", "_")
        if name not in known:
            hint = did_you_mean(name, known) or f" (it has: {', '.join(known) or 'none'})"
            faults.append(f"{cls.name} has no parameter '{given}'{hint}")
            continue
        kind, _, meta = known[name]
        values[name], fault = _coerced(kind, meta, value)
        if fault:
            faults.append(f"{cls.name}:{given} {fault}")
    if faults:
        raise SpecError("; ".join(faults))
    return cls(**values)


def describe(cls: type[Component]) -> list[dict[str, Value]]:
    """Return one row per parameter: name, type, default, bounds and help."""
    return [
        {"name": name, "type": kind.__name__, "default": default, "bounds": meta.bounds(), "help": meta.help}
        for name, (kind, default, meta) in fields_of(cls).items()
    ]
