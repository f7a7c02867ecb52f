"""From text to components: conversion, bounds, nested parameters, and one sentence for every error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

from benchkit.errors import SpecError, did_you_mean
from benchkit.params.component import Component, Param, Value, fields_of, text

C = TypeVar("C", bound=Component)
Find = Callable[[type[Any], str], type[Any]]
"""``find(Attack, "blend")`` returns a component class by its contract and name, or raises SpecError."""


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


COERCE: dict[type, tuple[Callable[[Value], Value], str]] = {
    bool: (_to_bool, "true or false"),
    int: (_to_int, "a whole number"),
    float: (_to_float, "a number"),
    str: (text, "text"),
}


def _coerced(kind: type, meta: Param, raw: Value) -> tuple[Value | None, str | None]:
    convert, expected = COERCE[kind]
    try:
        value = convert(raw)
    except (ValueError, KeyError, TypeError, ArithmeticError):
        return None, f"must be {expected}, got {str(raw)!r}"
    return value, meta.fault(value)


def _unfolded(raw: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, dict[str, Value]]]:
    """Split parameters into those of the component itself and those of its nested components, by name."""
    own: dict[str, Value] = {}
    inner: dict[str, dict[str, Value]] = {}
    for given, value in raw.items():
        name, dot, rest = given.partition(".")
        if dot:
            inner.setdefault(name, {})[rest] = value
        else:
            own[given] = value
    return own, inner


def build(cls: type[C], raw: Mapping[str, Value], find: Find | None = None) -> C:
    """Return a component built from raw parameter values (text or numbers).

    Args:
        find: looks up nested components; without it they keep the class of their default.

    Raises:
        SpecError: lists all errors at once, with a suggestion for each misspelt parameter.
    """
    own, inner = _unfolded(raw)
    values, faults = {}, []
    for given in dict.fromkeys([*own, *inner]):
        value, fault = _made(cls, given, own.get(given), inner.get(given, {}), find)
        values[given.replace("-", "_")] = value
        faults += [fault] if fault else []
    if faults:
        raise SpecError("; ".join(faults))
    return cls(**values)


def _made(
    cls: type[Component], given: str, raw: Value | None, inner: Mapping[str, Value], find: Find | None
) -> tuple[Any, str | None]:
    """Return the value of one parameter and its error, or None."""
    known = fields_of(cls)
    if given.replace("-", "_") not in known:
        hint = did_you_mean(given.replace("-", "_"), known) or f" (it has: {', '.join(known) or 'none'})"
        return None, f"{cls.name} has no parameter '{given}'{hint}"
    kind, default, meta = known[given.replace("-", "_")]
    if isinstance(default, Component):
        return _nested(kind, default, raw, inner, find)
    if inner or raw is None:
        return None, f"{cls.name}:{given} has no parameters of its own"
    value, fault = _coerced(kind, meta, raw)
    return value, f"{cls.name}:{given} {fault}" if fault else None


def _nested(
    kind: type[Any], default: Component, raw: Value | None, inner: Mapping[str, Value], find: Find | None
) -> tuple[Any, str | None]:
    try:
        chosen = type(default) if raw is None or find is None else find(kind, str(raw))
        return build(chosen, inner, find), None
    except SpecError as error:
        return None, str(error)


def describe(cls: type[Component]) -> list[dict[str, Value]]:
    """Return one row per parameter: name, type, default, bounds and help."""
    return [
        {
            "name": name,
            "type": kind.__name__.lower() if isinstance(default, Component) else kind.__name__,
            "default": str(default) if isinstance(default, Component) else default,
            "bounds": meta.bounds(),
            "help": meta.help,
        }
        for name, (kind, default, meta) in fields_of(cls).items()
    ]
