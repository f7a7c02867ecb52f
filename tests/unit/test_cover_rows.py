"""Covers: which rows are drawn, what the checks and the conformance kit say, and what wrappers do to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kit_plugins import Case, Patch, broken, case_id, expect_refusal
from report_records import drawn, record

import benchkit
from benchkit import testing
from benchkit.contracts import checks
from benchkit.testing import world

WORLD = world.world(3, 16)
TRAIN = WORLD.data.train


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(count=st.integers(1, 60), rate=st.floats(0, 1), poisons=st.floats(0, 1), seed=st.integers(0, 9))
def test_covers_are_drawn_beside_the_poisons(count: int, rate: float, poisons: float, seed: int) -> None:
    mask = torch.rand(count, generator=seeded(seed)) < poisons
    rows = benchkit.cover_rows(mask, rate, seeded(seed))
    assert len(rows) == min(benchkit.share_of(rate, count), int((~mask).sum()))
    assert torch.equal(rows, rows.unique())
    assert not mask[rows].any()


def test_covers_may_be_of_some_rows_alone_and_are_not_always_the_same() -> None:
    mask, among = TRAIN.labels == 1, TRAIN.labels < 3
    rows = benchkit.cover_rows(mask, 0.25, seeded(1), among)
    assert len(rows) == 64
    assert set(TRAIN.labels[rows].tolist()) == {0, 2}
    assert torch.equal(rows, benchkit.cover_rows(mask, 0.25, seeded(1), among))
    assert not torch.equal(rows, benchkit.cover_rows(mask, 0.25, seeded(2), among))
    assert len(benchkit.cover_rows(mask, 1.0, seeded(1), among)) == 128


@dataclass(frozen=True)
class Half(benchkit.CoverImages):
    """A white corner; covers have half of it."""

    name = "half"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.clone()
        stamped[..., -4:, -4:] = 255
        return stamped

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        made = super().poison(train, scene)
        rows = benchkit.cover_rows(made.mask, self.cover_rate, scene.rng)
        images = train.images[rows].clone()
        images[..., -4:, -2:] = 255
        return made.covering(rows, images)


@dataclass(frozen=True)
class Dim(benchkit.AttackWrapper):
    """Halves what another attack changes."""

    name = "dim"
    base: benchkit.Attack = benchkit.nested(Half(), "the attack that is dimmed")

    def rework(self, clean: torch.Tensor, stamped: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return ((clean.int() + stamped.int()) // 2).to(torch.uint8)


@dataclass(frozen=True)
class DimBoth(benchkit.CoverImages, Dim):
    """Has covers of its own beside the poisons of the attack that it dims."""

    name = "dim-both"
    base: benchkit.Attack = benchkit.nested(Patch(), "the attack that is dimmed")

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        made = super().poison(train, scene)
        rows = benchkit.cover_rows(made.changed, self.cover_rate, scene.rng)
        return made.covering(rows, 255 - train.images[rows])


def poisoned(attack: benchkit.Attack) -> benchkit.Poisoned:
    return attack.poison(world.copied(TRAIN), WORLD.attacking(attack))


def test_covers_are_changed_rows_that_keep_their_labels() -> None:
    made = poisoned(Half(cover_rate=0.1))
    assert (int(made.mask.sum()), int(made.cover.sum())) == (38, 25)
    assert not (made.mask & made.cover).any()
    assert torch.equal(made.changed, (made.data.images != TRAIN.images).flatten(1).any(1))
    assert torch.equal(made.data.labels != TRAIN.labels, made.mask)


def test_a_wrapper_reworks_covers_too() -> None:
    bare, dimmed = poisoned(Half(cover_rate=0.1)), poisoned(Dim(base=Half(cover_rate=0.1)))
    assert torch.equal(dimmed.mask, bare.mask)
    assert torch.equal(dimmed.cover, bare.cover)
    assert torch.equal(dimmed.data.labels, bare.data.labels)
    rows = bare.changed
    expected = (TRAIN.images[rows].int() + bare.data.images[rows].int()) // 2
    assert torch.equal(dimmed.data.images[rows].int(), expected)
    assert torch.equal(dimmed.data.images[~rows], TRAIN.images[~rows])
    assert Dim(base=Half(cover_rate=0.1)).cover_rate == 0.1


def test_a_wrapper_may_have_covers_of_its_own() -> None:
    made = poisoned(DimBoth(cover_rate=0.1))
    assert int(made.cover.sum()) == 25
    assert torch.equal(made.data.images[made.cover], 255 - TRAIN.images[made.cover])
    assert str(DimBoth(cover_rate=0.1)) == "dim-both:cover_rate=0.1"


@pytest.mark.parametrize("sound", [Half, Half(cover_rate=0.0), Dim, DimBoth], ids=str)
def test_attacks_with_covers_conform(sound: Any) -> None:
    for check in testing.checks(sound):
        check()


def row(made: benchkit.Poisoned, mask: torch.Tensor) -> int:
    return int(mask.nonzero()[0])


def relabels(made: benchkit.Poisoned) -> benchkit.Poisoned:
    labels = made.data.labels.clone()
    labels[row(made, made.cover)] += 1
    return replace(made, data=replace(made.data, labels=labels % 4))


def forgets(made: benchkit.Poisoned) -> benchkit.Poisoned:
    return replace(made, cover=made.cover & False)


def overlaps(made: benchkit.Poisoned) -> benchkit.Poisoned:
    return replace(made, cover=made.changed)


def names_clean_rows(made: benchkit.Poisoned) -> benchkit.Poisoned:
    return replace(made, cover=~made.mask)


def counts(made: benchkit.Poisoned) -> benchkit.Poisoned:
    return replace(made, cover=made.cover.int())


WRONG = [
    (relabels, "changed the labels of 1 covers: a cover keeps its true label"),
    (forgets, "changed 25 rows that its mask does not name"),
    (overlaps, "names 38 rows as poisons and as covers"),
    (names_clean_rows, "names rows in its cover mask whose pixels it did not change"),
    (counts, r"must return a bool cover mask of shape \(256,\)"),
]


@pytest.mark.parametrize(("spoil", "sentence"), WRONG)
def test_what_is_wrong_with_covers_is_one_sentence(spoil: Any, sentence: str) -> None:
    made = poisoned(Half(cover_rate=0.1))
    checks.poisoned(Half(), TRAIN, made)
    with pytest.raises(benchkit.ContractError, match=f"half.poison {sentence}"):
        checks.poisoned(Half(), TRAIN, spoil(made))


def all_stamped(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    made = benchkit.Attack.poison(self, train, scene)
    rows = (~made.mask).nonzero().squeeze(1)
    return made.covering(rows, self.stamp(train.images[rows], scene))


def another_each_time(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    made = benchkit.Attack.poison(self, train, scene)
    rows = benchkit.cover_rows(made.mask, self.cover_rate, torch.default_generator)
    return made.covering(rows, self.stamp(train.images[rows], scene))


CASES: list[Case] = [
    ("attack cover-count", lambda: broken(Half, poison=all_stamped), "makes 218 covers where its rate allows 0"),
    ("attack cover-count", lambda: broken(Half, poison=benchkit.Attack.poison), "makes no cover at a cover rate of 15"),
    ("attack poison-mask", lambda: broken(Half, poison=lambda *given: forgets(Half.poison(*given))), "does not name"),
    ("attack poison-mask", lambda: broken(Half, poison=lambda *given: relabels(Half.poison(*given))), "true label"),
    ("attack poison-repeats", lambda: broken(Half, poison=another_each_time), "only from scene.rng"),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_kit_catches_covers_that_break_the_contract(case: Case) -> None:
    expect_refusal(case)


def test_tables_say_how_many_covers_there_are_and_how_many_were_asked_for() -> None:
    def told(share: float) -> str:
        metrics = {"c_acc": 0.9, "asr": 0.9, "poisoned": 0.1, "covered": share}
        return drawn([record("taco", "none", metrics=metrics, attack_info={"cover_rate": 0.3})])

    assert "- taco: 29.0 % of the training set are covers: changed images that keep" in told(0.29)
    assert "- taco: 5.0 % of the training set are covers, not the requested 30 %: changed images" in told(0.05)
    assert "poisoned 5.0 %" not in told(0.05)
