"""The conformance kit for attacks: each check catches one that breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from kit_plugins import (
    RNG_FREE,
    Case,
    Patch,
    always_colour,
    broken,
    case_id,
    diverges,
    expect_refusal,
    in_place,
    own_check,
)
from torch import Tensor

import benchkit
from benchkit import testing
from benchkit.testing.world import RATE


def undecorated() -> type[Any]:
    return type("Broken", (Patch,), {"__doc__": "Broken.", "__module__": __name__})


def two_numbers(self: Any, scene: Any) -> dict[str, Tensor]:
    return {"two": torch.zeros(2)}


def random_corner(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images.clone().index_fill_(3, torch.randint(images.shape[3], (1,)), 255)


def mirrors(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images.flip(3)


def dims(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images // 2


def needs_one(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images[0] * 0 + images // 2


def darkens(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images - torch.minimum(images, torch.full_like(images, 9))


def forgets_mask(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    return replace(poisoned, mask=poisoned.mask & False)


def poisons_in_place(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    train.images[0] = 0
    return poisoned


def poisons_twice_as_much(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    return benchkit.Attack.poison(self, train, replace(scene, rate=2 * RATE))


def poisons_nothing(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    return benchkit.Attack.poison(self, train, replace(scene, rate=0.0))


def covers_without_a_rate(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    rows = (~poisoned.mask).nonzero().squeeze(1)[:9]
    return poisoned.covering(rows, self.stamp(train.images[rows], scene))


def keeps_labels(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    return replace(poisoned, data=replace(poisoned.data, labels=train.labels))


def poisons_the_target_class(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    rows = (train.labels == self.target).nonzero().squeeze(1)[:4]
    stamped = self.stamp(train.images[rows], scene)
    return benchkit.Poisoned.replacing(train, rows, stamped, train.labels[rows])


def poisons_at_random(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    lost = torch.Generator().manual_seed(int(torch.randint(9999, ())))
    return benchkit.Attack.poison(self, train, replace(scene, rng=lost))


def learns_a_view(self: Any, poisoned: benchkit.Poisoned, scene: Any) -> benchkit.Trained:
    return benchkit.Trained(scene.fit(poisoned.data, epochs=0.1), {"turned": torch.rand(3, 4).T})


def learns_what_it_prepared(self: Any, poisoned: benchkit.Poisoned, scene: Any) -> benchkit.Trained:
    return benchkit.Trained(scene.fit(poisoned.data, epochs=0.1), {"two": torch.zeros(2)})


def needs_what_it_learns(self: Any, images: Tensor, scene: Any) -> Tensor:
    learned: Tensor = scene.prepared["learned"]
    return images + learned


def plain(self: Any, poisoned: benchkit.Poisoned, scene: Any) -> Any:
    return scene.fit(poisoned.data, epochs=0.1)


LEARNS: dict[str, Any] = {"access": "training", "learns": True}


def trains_in_place(self: Any, poisoned: benchkit.Poisoned, scene: Any) -> Any:
    poisoned.data.images[:] = 0
    return scene.fit(poisoned.data, epochs=0.1)


TWO = (benchkit.Metric("two", about="numbers"),)
CASES: list[Case] = [
    (
        "attack other-device",
        lambda: broken(Patch, stamp=lambda self, images, scene: images.where(torch.rand(images.shape[-2:]) > 1, 9)),
        "two devices, cpu and cuda:0",
    ),
    (
        "attack other-device",
        lambda: broken(Patch, control=lambda self, images, scene: images - torch.ones_like(images.cpu())),
        "two devices, cpu and cuda:0",
    ),
    ("attack usable-class", undecorated, "frozen dataclass"),
    ("attack usable-class", lambda: broken(benchkit.Attack, name="x"), "does not define stamp"),
    ("attack usable-class", lambda: broken(Patch, name=""), "has no name"),
    ("attack name", lambda: broken(Patch, name="Bad_Name"), "lower case with hyphens"),
    ("attack docstring", lambda: broken(Patch, __doc__=None), "has no docstring"),
    ("attack parameters", lambda: broken(Patch, size=benchkit.param(0, "side", ge=1)), "own bounds"),
    ("attack parameters", lambda: broken(Patch, size=benchkit.param(1, " ")), "has no help"),
    ("attack parameters", lambda: broken(Patch, size=benchkit.param("a", "side")), "its default is 'a'"),
    (
        "attack spec-round-trip",
        lambda: broken(Patch, __post_init__=lambda self: object.__setattr__(self, "size", self.size + 1)),
        "__post_init__",
    ),
    ("attack refusal", lambda: broken(Patch, check=own_check("two\nlines")), "one sentence"),
    ("attack threat-model", lambda: broken(Patch, access="both"), "use data or training"),
    ("attack source-classes", lambda: broken(Patch, source_classes=lambda self: [1]), "return a tuple of classes"),
    ("attack test-strength", lambda: broken(Patch, test_strength=3.0), "has a test_strength that its stamp ignores"),
    ("attack threat-model", lambda: broken(Patch, label_policy="odd"), "use dirty or clean"),
    ("attack threat-model", lambda: broken(Patch, needs={"model"}), "frozenset"),
    ("attack threat-model", lambda: broken(Patch, train=diverges), "replaces train"),
    ("attack threat-model", lambda: broken(Patch, access="training"), "keeps train"),
    ("attack threat-model", lambda: broken(Patch, learns=True), "learns is True"),
    ("attack refuses-a-missing-class", lambda: broken(Patch, check=own_check(None)), "super"),
    ("attack metrics", lambda: broken(Patch, metrics=TWO + TWO), "'two' twice"),
    ("attack reports", lambda: broken(Patch, metrics=TWO, prepare=two_numbers), "one number as 'two'"),
    ("attack reports", lambda: broken(Patch, shortfall=lambda self, reported: 0.3), "a sentence or None"),
    ("attack prepare", lambda: broken(Patch, prepare=lambda self, scene: {"x": 3}), "dict of tensors"),
    ("attack prepare", lambda: broken(Patch, prepare=lambda self, scene: scene.model), "declare it"),
    ("attack prepare-repeats", lambda: broken(Patch, **RNG_FREE), "only from scene.rng"),
    (
        "attack stamp",
        lambda: broken(Patch, stamp=lambda self, images, scene: images / 2),
        "must return uint8",
    ),
    ("attack stamp-leaves-its-input", lambda: broken(Patch, stamp=in_place), "writes into its input"),
    (
        "attack stamp-leaves-its-input",
        lambda: broken(Patch, stamp=lambda self, images, scene: images),
        "input's memory",
    ),
    ("attack stamp-repeats", lambda: broken(Patch, stamp=random_corner), "only from scene.rng"),
    (
        "attack stamp-changes-pixels",
        lambda: broken(Patch, stamp=lambda self, images, scene: images.clone()),
        "changed no pixel",
    ),
    ("attack natural", lambda: broken(Patch, natural=True), "derive the attack from benchkit.NaturalTrigger"),
    ("attack control", lambda: broken(Patch, control=lambda self, images, scene: images.float()), "uint8"),
    (
        "attack control",
        lambda: broken(Patch, control=lambda self, images, scene: self.stamp(images, scene)),
        "leave the trigger out",
    ),
    ("attack control", lambda: broken(Patch, control=lambda self, images, scene: images.fill_(0)), "its input"),
    ("attack control-of-most-pixels", lambda: broken(Patch, stamp=mirrors), "write control.*or say adds_only"),
    (
        "attack control-of-most-pixels",
        lambda: broken(Patch, stamp=mirrors, adds_only=True),
        "adds nothing to an image of one grey level",
    ),
    ("attack stamp-any-count", lambda: broken(Patch, stamp=needs_one), "IndexError"),
    ("attack control-any-count", lambda: broken(Patch, control=needs_one), "IndexError"),
    ("attack stamp-every-shape", lambda: broken(Patch, stamp=always_colour), r"1x16x16"),
    (
        "attack target-labels",
        lambda: broken(Patch, target_labels=lambda self, labels, scene: labels * 0.5),
        "int64",
    ),
    (
        "attack target-labels",
        lambda: broken(Patch, target_labels=lambda self, labels, scene: labels + 1),
        "no class",
    ),
    ("attack poison-mask", lambda: broken(Patch, poison=forgets_mask), "mask does not name"),
    ("attack poison-mask", lambda: broken(Patch, poison=poisons_in_place), "writes into the training set"),
    ("attack poison-count", lambda: broken(Patch, poison=poisons_twice_as_much), "the rate allows"),
    ("attack poison-count", lambda: broken(Patch, poison=poisons_nothing), "poisons nothing"),
    ("attack poison-count", lambda: broken(Patch, benign=True), "benign"),
    ("attack cover-count", lambda: broken(Patch, poison=covers_without_a_rate), "9 covers where its rate allows 0"),
    ("attack poison-labels", lambda: broken(Patch, poison=keeps_labels), "label_policy = 'dirty'"),
    ("attack poison-labels", lambda: broken(Patch, label_policy="clean"), "label_policy = 'clean'"),
    ("attack poison-labels", lambda: broken(Patch, poison=poisons_the_target_class), "choose others"),
    ("attack poison-repeats", lambda: broken(Patch, poison=poisons_at_random), "only from scene.rng"),
    ("attack train", lambda: broken(Patch, access="training", train=lambda self, poisoned, scene: 1), "must return a"),
    ("attack train", lambda: broken(Patch, access="training", train=trains_in_place), "training set"),
    ("attack train", lambda: broken(Patch, access="training", train=diverges), "not finite"),
    ("attack train", lambda: broken(Patch, **LEARNS, train=plain), "returns a model alone"),
    ("attack train", lambda: broken(Patch, access="training", train=learns_a_view), "declare learns = True"),
    (
        "attack train",
        lambda: broken(Patch, **LEARNS, prepare=two_numbers, train=learns_what_it_prepared),
        "returns 'two', a name that prepare or draw has given",
    ),
    ("attack poison-mask", lambda: broken(Patch, **LEARNS, train=plain, stamp=needs_what_it_learns), "learned"),
    ("attack stamp", lambda: broken(Patch, stamp=lambda self, images, scene: scene.model), "prepare.., poison"),
]


def most_pixels(cls: type[Any]) -> testing.Check:
    return next(one for one in testing.checks(cls) if one.name == "control-of-most-pixels")


@pytest.mark.parametrize(
    "sound",
    [
        broken(Patch, stamp=darkens, adds_only=True),
        broken(Patch, stamp=dims, control=mirrors),
        broken(benchkit.NoAttack, name="dim", stamp=dims),
        broken(Patch, size=benchkit.param(8, "side, in pixels")),
    ],
    ids=["adds", "has a control", "benign", "few pixels"],
)
def test_a_stamp_that_changes_most_pixels_needs_a_control_or_a_reason(sound: type[Any]) -> None:
    most_pixels(sound)()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_each_check_catches_a_broken_plugin(case: Case) -> None:
    expect_refusal(case)


def test_no_check_is_without_a_plugin_that_fails_it() -> None:
    assert {f"attack {check.name}" for check in testing.checks(Patch)} == {which for which, _, _ in CASES}
