"""Strength at test time: what a stamp finds, what is trained again, and what the conformance kit says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from kit_plugins import Case, Patch, broken, case_id, expect_refusal
from picky import Loud
from report_records import drawn, record

import benchkit
from benchkit import testing
from benchkit.testing import world

WORLD = world.world(3, 16)


@dataclass(frozen=True)
class Again(benchkit.AttackWrapper):
    """Another attack, unchanged."""

    name = "again"
    base: benchkit.Attack = benchkit.nested(Loud(), "the attack")

    def rework(self, clean: torch.Tensor, stamped: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return stamped


@pytest.mark.parametrize("attack", [Loud(test_strength=3.0), Again(base=Loud(test_strength=3.0))], ids=str)
def test_test_images_are_stamped_harder_than_poisons(attack: benchkit.Attack) -> None:
    train = WORLD.data.train
    made = attack.poison(world.copied(train), WORLD.poisoning(attack))
    corner = (slice(None), slice(None), slice(-3, None), slice(-3, None))
    poisons = made.data.images[made.mask].int() - train.images[made.mask].int()
    assert set(poisons[corner].unique().tolist()) <= set(range(21)), "16 grey levels, fewer where it is white"
    test = attack.stamp(WORLD.data.test.images, WORLD.attacking(attack)).int() - WORLD.data.test.images.int()
    assert int(poisons.max()) == 20
    assert int(test.max()) == 60
    assert attack.test_strength == 3


def test_methods_that_both_share_have_no_strength() -> None:
    for scene in (WORLD.preparing(Loud()), WORLD.drawing()):
        with pytest.raises(benchkit.ContractError, match=r"scene.strength is for attacks, but not in prepare"):
            _ = scene.strength


@pytest.mark.parametrize("sound", [Loud, Loud(test_strength=0.5), Again, Again(base=Loud(test_strength=3.0))], ids=str)
def test_attacks_with_a_test_strength_conform(sound: Any) -> None:
    for check in testing.checks(sound):
        check()


def deaf(self: Any, images: torch.Tensor, scene: Any) -> torch.Tensor:
    return Patch().stamp(images, scene)


def follows(self: Any, images: torch.Tensor, scene: Any) -> torch.Tensor:
    return Loud().stamp(images, scene)


def own_strength(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    made = benchkit.Attack.poison(self, train, scene)
    made.data.images[made.mask, :, :2, :2] = int(9 * self.test_strength)
    return made


CASES: list[Case] = [
    ("attack test-strength", lambda: broken(Loud, stamp=deaf), "has a test_strength that its stamp ignores"),
    ("attack test-strength", lambda: broken(Patch, test_strength=3.0), "has a test_strength that its stamp ignores"),
    ("attack test-strength", lambda: broken(Patch, stamp=follows), "derive the attack from benchkit.StrengthAtTest"),
    ("attack test-strength", lambda: broken(Loud, poison=own_strength), "poison depends on test_strength"),
    ("attack test-strength", lambda: broken(Patch, test_strength=-1.0), "use a number above 0"),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_kit_catches_a_test_strength_that_breaks_the_contract(case: Case) -> None:
    expect_refusal(case)


def test_tables_tell_the_test_strength() -> None:
    found = [record("loud", "none", metrics={"c_acc": 0.9, "asr": 0.9}, attack_info={"test_strength": 2.5})]
    assert "loud (test strength 2.5)" in drawn(found)
    assert "- loud: its trigger is 2.5 times as strong on test images as in training" in drawn(found)
    found = [record("loud", "none", metrics={"c_acc": 0.9, "asr": 0.9}, attack_info={"test_strength": "high"})]
    assert "strength" not in drawn(found)
