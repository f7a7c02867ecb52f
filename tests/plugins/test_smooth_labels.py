"""Which labels the smooth attack can be given, and which would be given for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from attack_scenes import RGB
from benchkit_plugins.attacks.invisible import Invisible
from benchkit_plugins.attacks.smooth.smooth import Smooth


@pytest.mark.parametrize("word", ["10", "frog", "-1"])
def test_start_labels_that_are_no_class_are_refused(word: str) -> None:
    assert f"start_label={word}" in str(Smooth(start_label=word).check(RGB, 10))
    assert Smooth(start_label="9").check(RGB, 10) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": 3}, "target=3 is not used"),
        ({"target": 3}, "add aim=target"),
        ({"aim": "target", "start_label": "3"}, "start_label=3 is not used"),
    ],
)
def test_a_label_that_the_aim_leaves_unused_is_refused(settings: dict[str, Any], words: str) -> None:
    assert words in str(Smooth(**settings).check(RGB, 10))


@pytest.mark.parametrize(
    "settings",
    [{}, {"aim": "target"}, {"aim": "target", "target": 3}, {"start_label": "3"}, {"start_label": "random"}],
)
def test_a_label_that_is_used_is_not(settings: dict[str, Any]) -> None:
    assert Smooth(**settings).check(RGB, 10) is None


def test_wrappers_say_so_too() -> None:
    assert "add aim=target" in str(Invisible(base=Smooth(target=3)).check(RGB, 10))
