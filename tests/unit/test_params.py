"""Parameters: one declaration, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchkit import Component, nested, param
from benchkit.errors import SpecError
from benchkit.hashing import digest
from benchkit.params.build import build, describe
from benchkit.params.component import class_fault
from benchkit.params.grammar import pieces
from benchkit.plan.fingerprint import component_id


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
def test_text_and_numbers_are_coerced(raw: dict[str, Any], expected: Thing) -> None:
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
def test_a_bad_value_is_named(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(Thing, raw)
    assert words in str(caught.value)


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        build(Thing, {"sise": "1", "size": "0", "corner": "zz"})
    assert all(word in str(caught.value) for word in ("sise", "size", "corner"))


@dataclass(frozen=True)
class Worded(Component):
    """Any text."""

    name = "worded"
    words: str = param("", "text")
    more: str = param("x", "text that is not empty by default")


@dataclass(frozen=True)
class Around(Component):
    """One in another."""

    name = "around"
    inner: Worded = nested(Worded(), "another")
    words: str = param("", "text")


MARKS = st.text(st.sampled_from('ab",:= .\\\n')) | st.text()
WORDED = st.builds(Worded, words=MARKS, more=MARKS)


@given(st.lists(WORDED | st.builds(Around, inner=WORDED, words=MARKS), min_size=1, max_size=3))
def test_canonical_specs_of_any_text_parse_back_alone_and_in_lists(things: list[Component]) -> None:
    found = pieces(",".join(map(str, things)))
    classes = {"worded": Worded, "around": Around}
    assert [build(classes[name], raw) for name, raw in found] == things


@given(
    st.builds(
        Thing,
        size=st.integers(1, 9),
        share=st.floats(0.001, 0.999),
        flat=st.booleans(),
        corner=st.sampled_from(["br", "tl"]),
    )
)
def test_the_canonical_spec_parses_back(thing: Thing) -> None:
    ((name, raw),) = pieces(str(thing))
    assert name == "thing"
    assert build(Thing, raw) == thing


def test_the_canonical_spec_holds_only_what_differs() -> None:
    assert str(Thing()) == "thing"
    assert str(Thing(size=4, flat=True)) == "thing:size=4,flat=true"


def test_describe_lists_each_parameter() -> None:
    rows = {row["name"]: row for row in describe(Thing)}
    assert rows["size"] == {"name": "size", "type": "int", "default": 3, "bounds": ">= 1, <= 9", "help": "side"}
    assert rows["corner"]["bounds"] == "br | tl"


def test_a_class_that_forgot_dataclass_is_refused() -> None:
    class Forgot(Thing):
        name = "forgot"
        extra: int = param(1, "x")

    assert "@dataclass(frozen=True)" in (class_fault(Forgot) or "")
    assert class_fault(Thing) is None


@dataclass(frozen=True)
class Other(Thing):
    """Another thing."""

    name = "other"
    depth: int = param(1, "depth", ge=1)


@dataclass(frozen=True)
class Box(Component):
    """A thing in a box."""

    name = "box"
    inside: Thing = nested(Thing(), "what is in it")
    lid: bool = param(True, "closed")


def find(contract: type[Component], name: str) -> type[Component]:
    assert contract is Thing
    known = {"thing": Thing, "other": Other}
    if name not in known:
        raise SpecError(f"there is no {name}")
    return known[name]


def parsed(words: str) -> Box:
    ((name, raw),) = pieces(words)
    assert name == "box"
    return build(Box, raw, find)


@pytest.mark.parametrize(
    ("words", "box"),
    [
        ("box", Box()),
        ("box:inside.size=5", Box(inside=Thing(size=5))),
        ("box:inside=other", Box(inside=Other())),
        ("box:inside=other,inside.depth=2,inside.share=0.25,lid=false", Box(Other(share=0.25, depth=2), lid=False)),
    ],
)
def test_a_parameter_may_be_a_component_with_parameters(words: str, box: Box) -> None:
    assert parsed(words) == box
    assert parsed(str(box)) == box
    assert box.params()["inside"] == str(box.inside)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("box:inside=orange", "there is no orange"),
        ("box:inside.sise=4", "thing has no parameter 'sise' (did you mean 'size'?)"),
        ("box:inside.depth=4", "thing has no parameter 'depth'"),
        ("box:lid.size=4", "box:lid has no parameters of its own"),
        ("box:inside=other,inside.depth=0", "other:depth must be >= 1, got 0"),
    ],
)
def test_faults_of_nested_parameters_name_the_inner_component(words: str, fault: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(words)
    assert fault in str(caught.value)


def test_a_nested_default_has_default_parameters() -> None:
    body = {"name": "bad", "__annotations__": {"a": Thing}, "a": nested(Thing(size=5), "x")}
    broken: type[Component] = dataclass(frozen=True)(type("Bad", (Component,), body))
    assert "leave them out" in (class_fault(broken) or "")


def test_a_nested_component_is_part_of_the_key() -> None:
    keys = {digest(component_id(box)) for box in (Box(), Box(Thing(size=5)), Box(Other()), Box(Other(depth=2)))}
    assert len(keys) == 4
