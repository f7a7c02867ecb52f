"""Parameters: one declaration, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchkit import Component, param
from benchkit.build import build, describe
from benchkit.errors import SpecError
from benchkit.params import class_fault
from benchkit.spec import pieces


@dataclass(frozen=True)
class Thing(Component):
    """A thing."""

    name = "thing"
    size: int = param(3, "side", ge=1, le=9)
    share: float = param(0.5, "share", gt=0, lt=1)
    flat: bool = param(False, "flat")
    corner: str = param("br", "where", choices=("br", "tl"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"size": "5"}, Thing(size=5)),
        ({"size": 5.0}, Thing(size=5)),
        ({"share": "1/4"}, Thing(share=0.25)),
        ({"share": "1e-1"}, Thing(share=0.1)),
        ({"flat": "yes"}, Thing(flat=True)),
        ({"flat": False}, Thing()),
        ({"corner": "tl"}, Thing(corner="tl")),
    ],
)
def test_text_and_numbers_are_coerced(raw, expected):
    assert build(Thing, raw) == expected


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"sise": "5"}, "did you mean 'size'"),
        ({"size": "2.5"}, "whole number"),
        ({"size": "x"}, "whole number"),
        ({"size": "0"}, ">= 1, <= 9, got 0"),
        ({"share": "nan"}, "must be a number"),
        ({"share": "1/0"}, "must be a number"),
        ({"share": True}, "must be a number"),
        ({"flat": "maybe"}, "true or false"),
        ({"corner": "brr"}, "'brr' is not one of br, tl (did you mean 'br'?)"),
    ],
)
def test_a_bad_value_is_named(raw, words):
    with pytest.raises(SpecError) as caught:
        build(Thing, raw)
    assert words in str(caught.value)


def test_every_fault_is_reported_at_once():
    with pytest.raises(SpecError) as caught:
        build(Thing, {"sise": "1", "size": "0", "corner": "zz"})
    assert all(word in str(caught.value) for word in ("sise", "size", "corner"))


@given(
    st.builds(
        Thing,
        size=st.integers(1, 9),
        share=st.floats(0.001, 0.999),
        flat=st.booleans(),
        corner=st.sampled_from(["br", "tl"]),
    )
)
def test_the_canonical_spec_parses_back(thing):
    ((name, raw),) = pieces(str(thing))
    assert name == "thing"
    assert build(Thing, raw) == thing


def test_the_canonical_spec_holds_only_what_differs():
    assert str(Thing()) == "thing"
    assert str(Thing(size=4, flat=True)) == "thing:size=4,flat=true"


def test_describe_lists_each_parameter():
    rows = {row["name"]: row for row in describe(Thing)}
    assert rows["size"] == {"name": "size", "type": "int", "default": 3, "bounds": ">= 1, <= 9", "help": "side"}
    assert rows["corner"]["bounds"] == "br | tl"


def test_a_class_that_forgot_dataclass_is_refused():
    class Forgot(Thing):
        name = "forgot"
        extra: int = param(1, "x")

    assert "@dataclass(frozen=True)" in (class_fault(Forgot) or "")
    assert class_fault(Thing) is None
