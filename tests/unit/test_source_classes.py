"""Source classes: how they are written, which images an attack poisons, and what the conformance kit says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kit_plugins import Case, Patch, broken, case_id, expect_refusal
from report_records import drawn, record

import benchkit
from benchkit import testing
from benchkit.contracts.sources import class_numbers
from benchkit.testing import world

WORLD = world.world(3, 16)
TRAIN = WORLD.data.train


@dataclass(frozen=True)
class Some(benchkit.SourceClasses):
    """A white corner."""

    name = "some"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.clone()
        stamped[..., -4:, -4:] = 255
        return stamped


@dataclass(frozen=True)
class Twice(benchkit.AttackWrapper):
    """Another attack, unchanged."""

    name = "twice"
    base: benchkit.Attack = benchkit.nested(Some(), "the attack")

    def rework(self, clean: torch.Tensor, stamped: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return stamped


@given(st.sets(st.integers(0, 10**6), min_size=1))
def test_classes_are_read_in_order_and_each_once(classes: set[int]) -> None:
    assert class_numbers("+".join(map(str, [*classes, *classes]))) == tuple(sorted(classes))


@pytest.mark.parametrize("text", ["", "1,5", "-1", "1.0", "1+", "one", "all+1", "9" * 5000, "²"])
def test_any_other_text_is_refused(text: str) -> None:
    assert "source must be numbers of classes" in str(Some(source=text).check((3, 16, 16), 4))
    with pytest.raises(benchkit.BenchkitError, match="source must be numbers of classes"):
        class_numbers(text)


@pytest.mark.parametrize("attack", [Some(source="1+3"), Twice(base=Some(source="1+3"))], ids=str)
def test_poisons_are_drawn_among_the_source_classes(attack: benchkit.Attack) -> None:
    made = attack.poison(world.copied(TRAIN), WORLD.attacking(attack))
    assert set(TRAIN.labels[made.mask].tolist()) == {1, 3}
    assert int(made.mask.sum()) == 38
    everything = replace(WORLD.attacking(attack), rate=0.9)
    assert int(attack.poison(world.copied(TRAIN), everything).mask.sum()) == 128, "half of all images"


def test_a_drawn_target_is_no_source_class_and_without_sources_any() -> None:
    def targets(attack: benchkit.Attack) -> set[int]:
        return {int(attack.draw(WORLD.drawing(seed=seed))["target"]) for seed in range(64)}

    assert targets(Some(source="1+2", target=-1)) == {0, 3}
    assert targets(Some(source="all", target=-1)) == {0, 1, 2, 3}
    same = [Patch(target=-1).draw(WORLD.drawing(seed=seed))["target"] for seed in range(9)]
    plain = [torch.randint(4, (), generator=torch.Generator().manual_seed(seed)) for seed in range(9)]
    assert torch.equal(torch.stack(same), torch.stack(plain))


@pytest.mark.parametrize("sound", [Some, Some(source="2+3"), Some(source="all"), Twice], ids=str)
def test_attacks_with_source_classes_conform(sound: Any) -> None:
    for check in testing.checks(sound):
        check()


def anywhere(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    return Patch().poison(train, scene)


CASES: list[Case] = [
    ("attack poison-labels", lambda: broken(Some, poison=anywhere), "images of other than its source classes"),
    ("attack source-classes", lambda: broken(Some, check=lambda *_: None), "a source class that is no class"),
    ("attack source-classes", lambda: broken(Patch, source_classes=lambda self: [1]), r"return a tuple of classes"),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_kit_catches_source_classes_that_break_the_contract(case: Case) -> None:
    expect_refusal(case)


def test_tables_name_the_source_classes_beside_the_poisoned_share() -> None:
    info = {"source_classes": [1, 5]}
    metrics = {"c_acc": 0.9, "asr": 0.9, "asr_others": 0.125, "poisoned": 0.05}
    found = [record("taco", "none", metrics=metrics, attack_info=info)]
    assert "taco (source classes 1, 5; poisoned 5.0 %)" in drawn(found)
    assert "- taco: source classes 1, 5: its numbers are over" in drawn(found)
    assert "| 12.5" in drawn(found, metric="asr_others")
    by_rate = drawn(found, rows="poison_rate", cols="attack")
    assert "(poisoned 5.0 %)" in by_rate.replace("(source classes 1, 5; poisoned", "")
    assert "taco (source classes 1, 5; poisoned 5.0 %)" in by_rate
    (head,) = [line for line in drawn([record("taco", "none", metrics=metrics)]).splitlines() if "| taco" in line]
    assert "(poisoned 5.0 %)" in head
