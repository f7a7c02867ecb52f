"""Options from Python and from suites: what they may be, and the text that stands for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchkit import NoAttack
from benchkit.errors import SpecError
from benchkit.execute.request import ExecutionOptions
from benchkit.spec.registry import load
from benchkit.spec.spec import components
from benchkit.spec.values import as_text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("attacks", "badnets,blend:alpha=0.3", "badnets,blend:alpha=0.3"),
        ("attacks", ["badnets", NoAttack()], "badnets,none"),
        ("seeds", 3, "3"),
        ("seeds", [3], "3,"),
        ("seeds", range(2), "0,1,"),
        ("seeds", np.int64(2), "2"),
        ("poison_rate", [0.01, 0.1], "0.01,0.1"),
        ("poison_rate", (1e-05,), "1e-05"),
        ("population", 4, "4"),
        ("victims", False, False),
    ],
)
def test_lists_numbers_and_components_are_what_is_typed(name: str, value: Any, text: str | bool) -> None:
    assert as_text(name, value) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [("attacks", True), ("attacks", {"a": 1}), ("attacks", [["a"]]), ("victims", "yes"), ("seeds", [True])],
)
def test_anything_else_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"^{name} must be "):
        as_text(name, value)


def test_every_component_that_all_stands_for_comes_back_from_its_text() -> None:
    registry = load()
    for kind in ("attacks", "defenses", "datasets"):
        found = components("all", kind, registry)
        assert components(str(as_text(kind, found)), kind, registry) == found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"jobs": 0}, "jobs must be a whole number from 1 to 1024, got 0"),
        ({"threads": 1.5}, "threads must be"),
        ({"slots_per_device": "many"}, "slots_per_device must be"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds"),
        ({"timeout": "1"}, "timeout must be"),
        ({"retries": -1}, "retries must be"),
        ({"executor": "cloud"}, "there is no executor 'cloud': use local or inline or ray"),
        ({"executor": "inline", "jobs": 2}, "inline"),
        ({"executor": "inline", "timeout": 5.0}, "inline"),
        ({"executor": "inline", "slots_per_device": 2}, "inline"),
    ],
)
def test_means_that_mean_nothing_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        ExecutionOptions(**given)
