"""The conformance kit: sound plugins pass every check, and each check catches a plugin that breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

import benchkit
from benchkit import testing
from benchkit.testing.world import RATE, world

COUNTER = itertools.count()
MODEL = frozenset({"model"})


@dataclass(frozen=True)
class Patch(benchkit.Attack):
    """A white corner."""

    name = "patch"
    size: int = benchkit.param(3, "side, in pixels", ge=1, le=8)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        stamped = images.clone()
        stamped[..., : self.size, : self.size] = 255
        return stamped


@dataclass(frozen=True)
class Brightness(benchkit.InputDetector):
    """Bright corners are suspicious."""

    name = "brightness"

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        return images[..., -4:, -4:].float().mean((1, 2, 3))


@dataclass(frozen=True)
class Blackout(benchkit.InputPurifier):
    """Corners are painted black."""

    name = "blackout"

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        cleaned = images.clone()
        cleaned[..., -4:, -4:] = 0
        return cleaned


@dataclass(frozen=True)
class Sieve(benchkit.TrainingFilter):
    """Images with white corners are dropped."""

    name = "sieve"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        return train.images[..., -4:, -4:].float().mean((1, 2, 3)) - 254


@dataclass(frozen=True)
class Plain(benchkit.RobustTraining):
    """Ordinary training."""

    name = "plain"

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> Any:
        return scene.fit(train, epochs=1)


@dataclass(frozen=True)
class Retouch(benchkit.ModelRepair):
    """Fine-tuning."""

    name = "retouch"

    def repair(self, scene: benchkit.Scene) -> Any:
        return scene.fit(scene.clean, start=scene.model, epochs=1)


@dataclass(frozen=True)
class Audit(benchkit.ModelDetector):
    """The largest bias is suspicious."""

    name = "audit"

    def score(self, scene: benchkit.Scene) -> float:
        return float(scene.model.head.bias.detach().max())

    def cutoff(self, scene: benchkit.Scene) -> float:
        return 1.0


@dataclass(frozen=True)
class Dots(benchkit.Dataset):
    """Noise with two labels."""

    name = "dots"

    def load(self, source: benchkit.Source) -> benchkit.Data:
        return dots()


SOUND = [Patch, Brightness, Blackout, Sieve, Plain, Retouch, Audit, Dots]


def dots(labels: int = 2, dtype: torch.dtype = torch.uint8, seed: int = 0) -> benchkit.Data:
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (8, 1, 8, 8), generator=rng).to(dtype)
    split = benchkit.Split(images, torch.arange(8) % labels)
    return benchkit.Data(split, split, ("no", "yes"))


@testing.parametrize_with_checks(SOUND)
def test_sound_plugins_pass(check: testing.Check) -> None:
    check()


def broken(base: type[Any], **attributes: Any) -> type[Any]:
    """Return ``base`` with something replaced; ``size=param(...)`` declares a parameter."""
    body: dict[str, Any] = {"__doc__": "Broken.", "__module__": __name__} | attributes
    if "size" in attributes:
        body["__annotations__"] = {"size": int}
    return dataclass(frozen=True)(type("Broken", (base,), body))


def undecorated() -> type[Any]:
    return type("Broken", (Patch,), {"__doc__": "Broken.", "__module__": __name__})


def in_place(self: Any, images: Tensor, scene: Any) -> Tensor:
    images[..., :2, :2] = 255
    return images.clone()


def random_corner(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images.clone().index_fill_(3, torch.randint(images.shape[3], (1,)), 255)


def always_colour(self: Any, images: Tensor, scene: Any) -> Tensor:
    return torch.cat([255 - images[:, :1]] * 3, 1)


def forgets_mask(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    return replace(poisoned, mask=poisoned.mask & False)


def poisons_in_place(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    poisoned = benchkit.Attack.poison(self, train, scene)
    train.images[0] = 0
    return poisoned


def poisons_twice_as_much(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    return benchkit.Attack.poison(self, train, replace(scene, poison_rate=2 * RATE))


def poisons_nothing(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
    return benchkit.Attack.poison(self, train, replace(scene, poison_rate=0.0))


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


def trains_in_place(self: Any, poisoned: benchkit.Poisoned, scene: Any) -> Any:
    poisoned.data.images[:] = 0
    return scene.fit(poisoned.data, epochs=0.1)


def diverges(self: Any, first: Any, scene: Any) -> Any:
    model = scene.fit(first.data if isinstance(first, benchkit.Poisoned) else first, epochs=0.1)
    model.head.weight.data.fill_(float("nan"))
    return model


def shrinks_the_model(self: Any, images: Tensor, scene: Any) -> Tensor:
    scene.model.head.weight.data *= 0.5
    return images.float().mean((1, 2, 3))


def writes_into_clean(self: Any, images: Tensor, scene: Any) -> Tensor:
    scene.clean.images[:] = 0
    return images.float().mean((1, 2, 3))


def no_files(self: Any, source: benchkit.Source) -> benchkit.Data:
    raise FileNotFoundError("dots.bin")


def no_data(self: Any, source: benchkit.Source) -> benchkit.Data:
    raise benchkit.DataError("download dots.bin first")


def own_check(answer: Any) -> Callable[..., Any]:
    return lambda self, shape, classes: answer if shape[1] == 224 else None


def collapses(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images[..., :4, :4].float().mean((2, 3)).squeeze().flatten()[: len(images)] * torch.ones(3)


RNG_FREE = {"prepare": lambda self, scene: {"noise": torch.rand(2)}}
ODD = {"prepare": lambda self, scene: {"transposed": torch.rand(2, 3, generator=scene.rng).T}}
GREY = {"stamp": lambda self, images, scene: 255 - images[:, [0, 1, 2]]}

CASES: list[tuple[str, Callable[[], type[Any]], str]] = [
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
    ("attack threat-model", lambda: broken(Patch, label_policy="odd"), "use dirty or clean"),
    ("attack threat-model", lambda: broken(Patch, needs={"model"}), "frozenset"),
    ("attack threat-model", lambda: broken(Patch, train=diverges), "replaces train"),
    ("attack threat-model", lambda: broken(Patch, access="training"), "keeps train"),
    ("attack refuses-a-missing-class", lambda: broken(Patch, check=own_check(None)), "super"),
    ("attack prepare", lambda: broken(Patch, prepare=lambda self, scene: {"x": 3}), "dict of tensors"),
    ("attack prepare", lambda: broken(Patch, **ODD), "contiguous"),
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
    ("attack control", lambda: broken(Patch, control=lambda self, images, scene: images.float()), "uint8"),
    (
        "attack control",
        lambda: broken(Patch, control=lambda self, images, scene: self.stamp(images, scene)),
        "leave the trigger out",
    ),
    ("attack control", lambda: broken(Patch, control=lambda self, images, scene: images.fill_(0)), "its input"),
    (
        "attack stamp-any-count",
        lambda: broken(Patch, stamp=lambda self, images, scene: images[0] * 0 + images),
        "IndexError",
    ),
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
    ("attack poison-labels", lambda: broken(Patch, poison=keeps_labels), "label_policy = 'dirty'"),
    ("attack poison-labels", lambda: broken(Patch, label_policy="clean"), "label_policy = 'clean'"),
    ("attack poison-labels", lambda: broken(Patch, poison=poisons_the_target_class), "choose others"),
    ("attack poison-repeats", lambda: broken(Patch, poison=poisons_at_random), "only from scene.rng"),
    (
        "attack train",
        lambda: broken(Patch, access="training", train=lambda self, poisoned, scene: None),
        "must return the model",
    ),
    ("attack train", lambda: broken(Patch, access="training", train=trains_in_place), "training set"),
    ("attack train", lambda: broken(Patch, access="training", train=diverges), "not finite"),
    ("defense kind", lambda: broken(benchkit.Defense, name="x"), "exactly one of"),
    ("defense kind", lambda: broken(Brightness, needs={"model"}), "frozenset"),
    ("defense usable-class", lambda: broken(Brightness, name=""), "has no name"),
    ("defense name", lambda: broken(Brightness, name="a b"), "lower case"),
    ("defense docstring", lambda: broken(Brightness, __doc__=None), "has no docstring"),
    ("defense parameters", lambda: broken(Brightness, size=benchkit.param(0, "side", ge=1)), "own bounds"),
    (
        "defense spec-round-trip",
        lambda: broken(Brightness, __str__=lambda self: "brightness:clean="),
        "PARAMETER",
    ),
    ("defense refusal", lambda: broken(Brightness, check=own_check(True)), "one sentence"),
    ("defense prepare", lambda: broken(Brightness, **ODD), "contiguous"),
    (
        "defense prepare",
        lambda: broken(Plain, prepare=lambda self, scene: scene.fit(scene.clean)),
        "scene.fit",
    ),
    ("defense prepare-repeats", lambda: broken(Brightness, **RNG_FREE), "only from scene.rng"),
    ("defense declared-needs", lambda: broken(Brightness, score=shrinks_the_model), "declare it"),
    (
        "defense result",
        lambda: broken(Brightness, score=lambda self, images, scene: images),
        "one number per",
    ),
    (
        "defense result",
        lambda: broken(Brightness, score=lambda self, images, scene: torch.full((len(images),), torch.nan)),
        "NaN",
    ),
    (
        "defense result",
        lambda: broken(Blackout, purify=lambda self, images, scene: images / 2),
        "return uint8",
    ),
    (
        "defense result",
        lambda: broken(Sieve, suspicion=lambda self, train, scene: train.labels[:3]),
        "one number per image",
    ),
    ("defense result", lambda: broken(Plain, train=lambda self, train, scene: None), "return the model"),
    ("defense result", lambda: broken(Plain, train=diverges), "not finite"),
    (
        "defense result",
        lambda: broken(Retouch, repair=lambda self, scene: scene.model.net),
        "return the model",
    ),
    ("defense result", lambda: broken(Audit, score=lambda self, scene: float("inf")), "inf"),
    (
        "defense result-repeats",
        lambda: broken(Brightness, score=lambda self, images, scene: torch.rand(len(images))),
        "only from scene.rng",
    ),
    ("defense result-repeats", lambda: broken(Audit, score=lambda self, scene: next(COUNTER)), "scene.rng"),
    (
        "defense leaves-what-it-is-given",
        lambda: broken(Blackout, purify=in_place),
        "writes into the images",
    ),
    ("defense leaves-what-it-is-given", lambda: broken(Brightness, score=writes_into_clean), "scene.clean"),
    (
        "defense leaves-what-it-is-given",
        lambda: broken(Brightness, needs=MODEL, score=shrinks_the_model),
        "changes scene.model",
    ),
    (
        "defense one-image",
        lambda: broken(Brightness, score=lambda self, images, scene: images.float().mean((1, 2, 3)).squeeze()),
        "one number per image",
    ),
    ("defense cutoff", lambda: broken(Audit, cutoff=lambda self, scene: float("nan")), "nan"),
    (
        "defense cutoff",
        lambda: broken(Brightness, cutoff=lambda self, scene: next(COUNTER)),
        "scene.rng",
    ),
    (
        "defense keeps-enough",
        lambda: broken(Sieve, suspicion=lambda self, train, scene: train.labels + 1.0),
        "0 classes remain",
    ),
    ("defense every-shape", lambda: broken(Blackout, purify=always_colour), "must return uint8"),
    ("dataset usable-class", lambda: broken(benchkit.Dataset, name="x"), "does not define load"),
    ("dataset name", lambda: broken(Dots, name="DOTS"), "lower case"),
    ("dataset docstring", lambda: broken(Dots, __doc__=""), "has no docstring"),
    ("dataset parameters", lambda: broken(Dots, size=benchkit.param(9, "side", le=1)), "own bounds"),
    ("dataset spec-round-trip", lambda: broken(Dots, __str__=lambda self: "dots,dots"), "several"),
    ("dataset missing-files", lambda: broken(Dots, load=no_files), "FileNotFoundError"),
    ("dataset splits", lambda: broken(Dots, load=lambda self, source: dots(dtype=torch.int32)), "uint8"),
    ("dataset splits", lambda: broken(Dots, load=lambda self, source: dots(labels=3)), "outside 0..1"),
    ("dataset splits", lambda: broken(Dots, load=no_data), "source="),
    ("dataset classes", lambda: broken(Dots, load=lambda self, source: dots(labels=1)), r"classes \[1\]"),
    (
        "dataset classes",
        lambda: broken(Dots, load=lambda self, source: replace(dots(), classes=("a", "a"))),
        "distinct",
    ),
    (
        "dataset load-repeats",
        lambda: broken(Dots, load=lambda self, source: dots(seed=next(COUNTER))),
        "differs between two calls",
    ),
    (
        "dataset fingerprint",
        lambda: broken(Dots, fingerprint=lambda self, source: str(next(COUNTER))),
        "only when the files do",
    ),
]


@pytest.mark.parametrize(("which", "make", "sentence"), CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES])
def test_each_check_catches_a_broken_plugin(which: str, make: Callable[[], Any], sentence: str) -> None:
    name = which.split()[1]
    (check,) = [one for one in testing.checks(make()) if one.name == name]
    with pytest.raises(testing.ConformanceError, match=sentence):
        check()


def test_no_check_is_without_a_plugin_that_fails_it() -> None:
    kinds = {"attack": Patch, "defense": Brightness, "dataset": Dots}
    all_checks = {f"{kind} {check.name}" for kind, cls in kinds.items() for check in testing.checks(cls)}
    assert all_checks == {which for which, _, _ in CASES}


def test_ids_name_the_plugin_and_the_check() -> None:
    ids = [str(check) for check in testing.checks(Patch(size=5))]
    assert "patch:size=5-stamp-repeats" in ids
    assert len(set(ids)) == len(ids)
    assert "patch-usable-class" in [str(check) for check in testing.checks(Patch)]


def test_checks_use_the_component_that_is_given() -> None:
    spoilt = broken(Patch, stamp=lambda self, images, scene: images.clone() if self.size == 5 else 255 - images)
    for size, caught in ((3, False), (5, True)):
        (check,) = [one for one in testing.checks(spoilt(size=size)) if one.name == "stamp-changes-pixels"]
        if caught:
            with pytest.raises(testing.ConformanceError):
                check()
        else:
            check()


def test_other_classes_are_refused() -> None:
    with pytest.raises(TypeError, match="is not a benchkit Attack"):
        testing.checks(benchkit.Component)


def test_plugins_that_refuse_every_world_are_told() -> None:
    picky = broken(Patch, check=lambda self, shape, classes: "too small")
    with pytest.raises(testing.ConformanceError, match="refuses every toy world"):
        next(one for one in testing.checks(picky) if one.name == "stamp")()


class TestWorld:
    def test_victim_holds_the_backdoor_and_the_clean_model_does_not(self) -> None:
        here = world(3, 16)
        test = here.data.test
        triggered = here.triggered(test.images)
        assert (here.victim.logits(test.images).argmax(1) == test.labels).float().mean() > 0.9
        assert (here.victim.logits(triggered).argmax(1) == 0).float().mean() > 0.9
        assert (here.clean_model.logits(triggered).argmax(1) == test.labels).float().mean() > 0.9

    def test_scenes_hold_only_what_is_declared(self) -> None:
        here = world(3, 16)
        for scene in (here.preparing(Patch()), here.attacking(Patch()), here.defending(Brightness())):
            with pytest.raises(benchkit.ContractError, match="declare it"):
                _ = scene.model
        assert here.defending(Retouch()).model is not here.victim
        assert here.preparing(Retouch()).granted is None
        assert here.defending(Brightness()).poison_rate == 0

    def test_hold_out_is_disjoint_from_the_training_set(self) -> None:
        here = world(1, 16)
        both = torch.cat([here.data.train.images, here.holdout.images, here.data.test.images])
        assert len(both.unique(dim=0)) == 256 + 64 + 64
