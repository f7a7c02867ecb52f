"""The conformance kit for defenses: each check catches one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from kit_plugins import (
    COUNTER,
    RNG_FREE,
    Audit,
    Blackout,
    Brightness,
    Case,
    Patch,
    Plain,
    Retouch,
    Sieve,
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

MODEL = frozenset({"model"})


def shrinks_the_model(self: Any, images: Tensor, scene: Any) -> Tensor:
    scene.model.head.weight.data *= 0.5
    return images.float().mean((1, 2, 3))


def writes_into_clean(self: Any, images: Tensor, scene: Any) -> Tensor:
    scene.clean.images[:] = 0
    return images.float().mean((1, 2, 3))


def writes_into_fitted(self: Any, images: Tensor, scene: Any) -> Tensor:
    scene.fitted["level"] += 1
    return images.float().mean((1, 2, 3))


def ranks(self: Any, images: Tensor, scene: Any) -> Tensor:
    return images.float().mean((1, 2, 3)).argsort().argsort().float()


def less_the_usual(self: Any, images: Tensor, scene: Any) -> Tensor:
    return (images - images.float().mean(0)).abs().to(torch.uint8)


def fits(learn: Callable[[Any, Any], Any], base: type[Any] = Brightness, **more: Any) -> Callable[[], type[Any]]:
    """Return what makes a plugin that learns from its victim like this."""
    return lambda: broken(base, fit=learn, **more)


SIZE = benchkit.Metric("size", about="a size")


def says(**more: Any) -> Callable[..., benchkit.Verdict]:
    """Return a method that always returns the same verdict."""
    return lambda *_: benchkit.Verdict(1.0, **more)


def of_another_device(self: Any, images: Tensor, scene: Any) -> Tensor:
    return (images.float() - torch.full(scene.shape, 100.0)).mean((1, 2, 3))


def by_numpy(self: Any, images: Tensor, scene: Any) -> Tensor:
    return torch.from_numpy(images.numpy().mean((1, 2, 3))).float()


CASES: list[Case] = [
    ("defense other-device", lambda: broken(Brightness, score=of_another_device), "two devices, cpu and cuda:0"),
    ("defense other-device", lambda: broken(Brightness, score=by_numpy), "numpy needs .cpu.. first"),
    (
        "defense other-device",
        fits(lambda self, scene: {"level": torch.rand(2, generator=scene.rng, device=scene.device)}),
        "draw on the CPU, and move that",
    ),
    (
        "defense other-device",
        lambda: broken(Brightness, cutoff=lambda self, scene: float((scene.clean.labels + torch.arange(64)).max())),
        "two devices",
    ),
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
    ("defense metrics", lambda: broken(Brightness, metrics=(benchkit.Metric("asr", about="ours"),)), "that name"),
    ("defense metrics", lambda: broken(Brightness, metrics={"size": "a size"}), "a tuple of benchkit.Metric"),
    ("defense refusal", lambda: broken(Brightness, check=own_check(True)), "one sentence"),
    (
        "defense prepare",
        lambda: broken(Retouch, prepare=lambda self, scene: scene.fit(scene.clean)),
        "scene.fit",
    ),
    ("defense prepare-repeats", lambda: broken(Brightness, **RNG_FREE), "only from scene.rng"),
    ("defense fit", fits(lambda self, scene: [scene.rng]), "fit must return a dict of tensors"),
    ("defense fit", fits(lambda self, scene: {"level": scene.model.head.bias}), "declare it"),
    ("defense fit", fits(lambda self, scene: dict(scene.fitted)), "what a defense's fit.. returns"),
    ("defense fit", fits(lambda self, scene: {}, Sieve), "acts before there is a victim"),
    ("defense fit", fits(lambda self, scene: {}, Plain), r"\(robust training\) acts before"),
    ("defense fit-repeats", fits(RNG_FREE["prepare"]), "only from scene.rng"),
    ("defense fit-parameters", fits(lambda self, scene: {"level": torch.zeros(len(self.threshold))}), "used_by_fit"),
    (
        "defense fit-leaves-what-it-is-given",
        fits(lambda self, scene: {"level": scene.clean.images.zero_()}),
        "fit writes into scene.clean",
    ),
    (
        "defense fit-leaves-what-it-is-given",
        fits(lambda self, scene: {"level": scene.model.head.bias.data.zero_()}, needs=MODEL),
        "fit changes scene.model",
    ),
    (
        "defense fit-leaves-what-it-is-given",
        fits(
            lambda self, scene: {"level": scene.prepared["level"].zero_()},
            prepare=lambda self, scene: {"level": torch.ones(1)},
        ),
        "fit writes into scene.prepared",
    ),
    ("defense declared-needs", lambda: broken(Brightness, score=shrinks_the_model), "declare it"),
    (
        "defense declared-needs",
        lambda: broken(Sieve, suspicion=lambda self, train, scene: scene.clean.labels),
        "benchkit.CleanImages",
    ),
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
    ("defense result", lambda: broken(Plain, train=lambda self, train, scene: None), "return a benchkit.Classifier"),
    ("defense result", lambda: broken(Plain, train=diverges), "not finite"),
    (
        "defense result",
        lambda: broken(Retouch, repair=lambda self, scene: scene.model.net),
        "return a benchkit.Classifier",
    ),
    ("defense result", lambda: broken(Audit, score=lambda self, scene: float("inf")), "inf"),
    ("defense result", lambda: broken(Audit, metrics=(SIZE,)), "gives no 'size'"),
    ("defense result", lambda: broken(Audit, score=says(metrics={"size": 1})), "metrics does not declare"),
    ("defense result", lambda: broken(Audit, metrics=(SIZE,), score=says(metrics={"size": torch.nan})), "nan"),
    ("defense result", lambda: broken(Audit, score=says(classes=[4])), "0 to 3"),
    ("defense result", lambda: broken(Retouch, repair=says(images={"mask": torch.ones(1, 2, 2)})), "of shape"),
    ("defense result", lambda: broken(Blackout, purify=says()), "must return a tensor"),
    (
        "defense result-repeats",
        lambda: broken(Audit, metrics=(SIZE,), score=lambda *_: benchkit.Verdict(1.0, {"size": next(COUNTER)})),
        "scene.rng",
    ),
    (
        "defense result-repeats",
        lambda: broken(Audit, score=lambda *_: benchkit.Verdict(1.0, images={"mask": torch.rand(1, 16, 16)})),
        "scene.rng",
    ),
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
        fits(lambda self, scene: {"level": torch.ones(1)}, score=writes_into_fitted),
        "writes into scene.fitted",
    ),
    (
        "defense leaves-what-it-is-given",
        lambda: broken(Brightness, needs=MODEL, score=shrinks_the_model),
        "changes scene.model",
    ),
    (
        "defense batch-sizes",
        lambda: broken(Brightness, score=lambda self, images, scene: images.float().mean((1, 2, 3)).squeeze()),
        "one number per image",
    ),
    ("defense batch-sizes", lambda: broken(Brightness, score=ranks), "not depend on the other images"),
    ("defense batch-sizes", lambda: broken(Blackout, purify=less_the_usual), "not depend on the other images"),
    ("defense cutoff", lambda: broken(Audit, flags_above=lambda self, scene: float("nan")), "nan"),
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
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_each_check_catches_a_broken_plugin(case: Case) -> None:
    expect_refusal(case)


def test_no_check_is_without_a_plugin_that_fails_it() -> None:
    assert {f"defense {check.name}" for check in testing.checks(Brightness)} == {which for which, _, _ in CASES}


def odd_memory(self: Any, scene: Any) -> dict[str, Tensor]:
    drawn = torch.rand(2, 3, generator=scene.rng)
    return {"transposed": drawn.T, "expanded": drawn[:1].expand(4, 3), "part": drawn[1:], "whole": drawn, "same": drawn}


@pytest.mark.parametrize("base", [Patch, Brightness])
def test_what_prepare_returns_may_lie_in_any_memory(base: type[Any]) -> None:
    for check in testing.checks(broken(base, prepare=odd_memory)):
        check()


def test_a_defense_that_learns_from_another_dataset_is_given_it() -> None:
    @dataclass(frozen=True)
    class Elsewhere(Brightness):
        """Bright corners, against those of another dataset."""

        name = "elsewhere"

        def other_datasets(self) -> tuple[str, ...]:
            return ("scenes",)

        def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
            return {"usual": scene.others["scenes"].images.float().mean()}

    for check in testing.checks(Elsewhere):
        check()
