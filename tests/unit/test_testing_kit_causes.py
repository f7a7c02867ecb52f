"""The conformance kit: one cause is one failing check, and the others that would meet it are not run."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
import torch
from kit_plugins import Brightness, Patch, Plain, broken
from torch import Tensor

import benchkit
from benchkit import testing


def outcomes(cls: type[Any]) -> dict[str, str]:
    """Return the sentence of each check that does not pass, by its name; that of one not run begins with "not run"."""
    found = {}
    for check in testing.checks(cls):
        try:
            check()
        except testing.NotRun as skipped:
            found[check.name] = f"not run: {skipped}"
        except testing.ConformanceError as failed:
            found[check.name] = str(failed)
    return found


def failing(cls: type[Any]) -> list[str]:
    return [name for name, sentence in outcomes(cls).items() if not sentence.startswith("not run")]


def forgets(self: Any, images: Tensor, scene: Any) -> Tensor:
    stamped: Tensor = scene.prepared["picture"] + images
    return stamped


def needs_a_model(self: Any, images: Tensor, scene: Any) -> Tensor:
    scores: Tensor = scene.model.logits(images).amax(1)
    return scores


def uses_the_trainer(self: Any, scene: Any) -> dict[str, Tensor]:
    return {"bias": scene.fit(scene.clean).head.bias}


ONE_CAUSE: dict[str, tuple[type[Any], str, int]] = {
    "raises": (broken(Patch, stamp=forgets), "stamp", 10),
    "undeclared": (broken(Brightness, score=needs_a_model), "declared-needs", 5),
    "prepare": (broken(Brightness, prepare=uses_the_trainer), "prepare", 5),
    "gate": (broken(Plain, train=lambda self, train, scene: None), "result", 2),
    "no world": (broken(Patch, check=lambda self, shape, classes: "too small"), "refuses-a-missing-class", 10),
}
"""A plugin, the check that fails, and the least number of others that are not run."""


@pytest.mark.parametrize(("cls", "first", "others"), ONE_CAUSE.values(), ids=ONE_CAUSE)
def test_a_method_that_fails_everywhere_is_one_failure(cls: type[Any], first: str, others: int) -> None:
    found = outcomes(cls)
    assert failing(cls) == [first]
    assert len(found) > others


def test_what_follows_from_a_wrong_result_is_reported_once() -> None:
    """Floats are refused; they also differ from every pixel, and cannot be put into a training set."""
    cls = broken(Patch, stamp=lambda self, images, scene: images / 2)
    assert failing(cls) == ["stamp", "control-of-most-pixels", "poison-mask"]


def test_a_check_that_is_not_run_names_the_one_that_failed() -> None:
    found = outcomes(broken(Patch, stamp=forgets))
    assert "KeyError: 'picture'" in found["stamp"]
    assert found["stamp-repeats"] == "not run: patch-stamp-repeats is not run: stamp has failed for the same reason"


def test_pytest_skips_it() -> None:
    assert issubclass(testing.NotRun, unittest.SkipTest)


def test_two_causes_are_two_failures() -> None:
    def poison(self: Any, train: benchkit.Split, scene: Any) -> benchkit.Poisoned:
        raise OSError("nothing here")

    assert failing(broken(Patch, stamp=forgets, poison=poison)) == ["stamp", "poison-mask"]


def test_a_check_that_fails_again_says_so_again() -> None:
    check = next(one for one in testing.checks(broken(Patch, stamp=forgets)) if one.name == "stamp")
    for _ in range(2):
        with pytest.raises(testing.ConformanceError, match="picture"):
            check()


def test_different_faults_of_one_method_are_told_apart() -> None:
    """It writes into its input, which it also returns, and draws from the global generator."""

    def stamp(self: Any, images: Tensor, scene: Any) -> Tensor:
        images[..., :2] = int(torch.randint(256, ()))
        return images

    assert {"stamp-leaves-its-input", "stamp-repeats"} <= set(failing(broken(Patch, stamp=stamp)))
