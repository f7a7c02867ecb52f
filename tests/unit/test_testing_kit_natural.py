"""What the conformance kit says of attacks whose trigger is in the images already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from kit_plugins import Case, broken, case_id, expect_refusal
from torch import Tensor

import benchkit
from benchkit import testing


@dataclass(frozen=True)
class Third(benchkit.NaturalTrigger):
    """Spectacles."""

    name = "third"

    def attributes(self) -> tuple[str, ...]:
        return ("Spectacles",)

    def carries(self, split: benchkit.Split) -> Tensor:
        return split.attributes["Spectacles"]


def poisons_others(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    rows = (~self.carries(train) & (train.labels != self.target)).nonzero().squeeze(1)[:4]
    return benchkit.Poisoned.replacing(train, rows, train.images[rows], train.labels[rows] * 0)


def keeps_labels(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    made = benchkit.Attack.poison(self, train, scene)
    return replace(made, data=replace(made.data, labels=train.labels))


def brightens(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images.clamp(min=9)


CASES: list[Case] = [
    ("attack natural", lambda: broken(Third, carries=lambda self, split: split.labels), "one per image"),
    ("attack natural", lambda: broken(Third, natural=False), "derive the attack from benchkit.NaturalTrigger"),
    ("attack poison-labels", lambda: broken(Third, poison=poisons_others), "images without the trigger"),
    ("attack poison-mask", lambda: broken(Third, poison=keeps_labels), "whose labels it did not change"),
    ("attack stamp-changes-pixels", lambda: broken(Third, stamp=brightens), "natural = True"),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_each_check_catches_a_broken_plugin(case: Case) -> None:
    expect_refusal(case)


def test_a_sound_one_passes_them_all() -> None:
    for check in testing.checks(Third):
        check()
