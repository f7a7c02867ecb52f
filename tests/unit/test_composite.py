"""Classifiers made of classifiers, or of a function: logits, features, gradients, and what there is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from kit_plugins import Patch, broken
from torch import Tensor, nn

import benchkit
from benchkit.contracts import checks
from benchkit.contracts.steering import Fit
from benchkit.testing.attacks import check_train
from benchkit.testing.world import CLASSES, world

WORLD = world(3, 16)
IMAGES = WORLD.data.test.images
FEW = IMAGES[:6] / 255


def pair() -> list[benchkit.Classifier]:
    return [WORLD.clean_model, WORLD.victim]


def mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def shifted(logits: Tensor) -> Tensor:
    return logits.roll(1, 1)


def brightness(images: Tensor) -> Tensor:
    return images.double().mean((2, 3))


MADE: dict[str, Callable[[], benchkit.Classifier]] = {
    "mean of logits": lambda: benchkit.Ensemble(pair()),
    "mean of probabilities": lambda: benchkit.Ensemble(pair(), "mean-probabilities"),
    "majority": lambda: benchkit.Ensemble(pair(), "majority"),
    "before": lambda: benchkit.Preprocessed(WORLD.victim, before=mirrored),
    "after": lambda: benchkit.Preprocessed(WORLD.victim, after=shifted),
    "around an ensemble": lambda: benchkit.Preprocessed(benchkit.Ensemble(pair()), mirrored, shifted),
    "of preprocessed": lambda: benchkit.Ensemble([benchkit.Preprocessed(one, mirrored) for one in pair()]),
    "function": lambda: benchkit.FromFunction(brightness, "cpu", differentiable=True),
}


@pytest.fixture(params=list(MADE.values()), ids=list(MADE))
def made(request: pytest.FixtureRequest) -> benchkit.Classifier:
    found: benchkit.Classifier = request.param()
    return found


def test_every_one_is_a_classifier_that_the_harness_takes(made: benchkit.Classifier) -> None:
    assert checks.model("mine", "repair", made) is made
    logits = made.logits(IMAGES)
    assert (logits.dtype, logits.requires_grad, len(logits)) == (torch.float32, False, len(IMAGES))
    assert not made.training
    assert torch.equal(made.copy().logits(IMAGES), logits)
    torch.testing.assert_close(made.logits(IMAGES / 255), logits, atol=1e-3, rtol=1e-3)


def test_logits_do_not_depend_on_batches(made: benchkit.Classifier) -> None:
    many = made.logits(IMAGES.repeat(12, 1, 1, 1))
    torch.testing.assert_close(many, made.logits(IMAGES).repeat(12, 1), atol=1e-4, rtol=1e-4)


def test_gradients_are_there_or_refused(made: benchkit.Classifier) -> None:
    images = FEW.clone().requires_grad_()
    if made.differentiable:
        (gradient,) = torch.autograd.grad(made(images).square().sum(), images)
        assert (gradient.flatten(1).abs().sum(1) > 0).all()
    else:
        with pytest.raises(benchkit.ContractError, match="no gradients: ask each of its models"):
            made(images)


def test_votes_are_counted_as_they_are_named() -> None:
    one, other = (model.logits(IMAGES) for model in pair())
    assert torch.equal(benchkit.Ensemble(pair()).logits(IMAGES), (one + other) / 2)
    shares = benchkit.Ensemble(pair(), "mean-probabilities").logits(IMAGES).softmax(1)
    torch.testing.assert_close(shares, (one.softmax(1) + other.softmax(1)) / 2)


def constant(label: int) -> benchkit.Classifier:
    return benchkit.FromFunction(lambda images: torch.eye(CLASSES)[label].expand(len(images), -1), "cpu")


@pytest.mark.parametrize(("votes", "counts", "wins"), [([3, 1, 3], [0, 1, 0, 2], 3), ([2, 1], [0, 1, 1, 0], 1)])
def test_majorities_are_numbers_of_votes_and_the_smaller_class_wins_a_tie(
    votes: list[int], counts: list[int], wins: int
) -> None:
    logits = benchkit.Ensemble([constant(label) for label in votes], "majority").logits(IMAGES[:2])
    assert logits.tolist() == [counts, counts]
    assert logits.argmax(1).tolist() == [wins, wins]


def test_what_is_in_front_sees_floats_and_what_is_behind_sees_logits() -> None:
    victim, seen = WORLD.victim, []

    def before(images: Tensor) -> Tensor:
        seen.append((images.dtype, float(images.max())))
        return mirrored(images)

    both = benchkit.Preprocessed(victim, before, shifted)
    expected = victim.logits(mirrored(IMAGES / 255)).roll(1, 1)
    torch.testing.assert_close(both.logits(IMAGES), expected)
    assert seen[0][0] == torch.float32
    assert 0.5 < seen[0][1] <= 1
    torch.testing.assert_close(both.features(IMAGES), victim.features(mirrored(IMAGES / 255)))
    assert both.last_conv is victim.last_conv


def test_a_permutation_behind_is_undone_by_its_inverse_to_the_bit() -> None:
    there = benchkit.Preprocessed(WORLD.victim, after=shifted)
    back = benchkit.Preprocessed(there, after=lambda logits: logits.roll(-1, 1))
    assert torch.equal(back.logits(IMAGES), WORLD.victim.logits(IMAGES))


ABSENT: list[tuple[Callable[[], benchkit.Classifier], str, str]] = [
    (MADE["mean of logits"], "features", "a benchkit.Ensemble has no layer of features .*: ask each of its models"),
    (MADE["mean of logits"], "head", "Ensemble has no last linear layer"),
    (MADE["majority"], "last_conv", "Ensemble has no last convolution"),
    (MADE["majority"], "mean", "Ensemble has no mean of its own"),
    (MADE["after"], "head", "Preprocessed has no last linear layer that makes its logits: ask its inner model"),
    (MADE["around an ensemble"], "features", "Ensemble has no layer of features"),
    (MADE["function"], "features", "FromFunction has no layer .*: it is a function of images"),
    (MADE["function"], "normalised", "FromFunction has no normalisation"),
]


@pytest.mark.parametrize(("make", "what", "words"), ABSENT)
def test_what_there_is_not_is_said_in_one_sentence(
    make: Callable[[], benchkit.Classifier], what: str, words: str
) -> None:
    model = make()
    with pytest.raises(benchkit.ContractError, match=words):
        use(model, what)


def use(model: Any, what: str) -> None:
    getattr(model, what)(IMAGES)


@pytest.mark.parametrize(("models", "vote"), [([], "mean-logits"), ([constant(0)], "median")])
def test_an_ensemble_of_nothing_or_of_another_vote_is_refused(models: list[Any], vote: Any) -> None:
    with pytest.raises(benchkit.ContractError, match=r"needs models and one of mean-logits, .*majority"):
        benchkit.Ensemble(models, vote)


def test_a_front_with_weights_is_part_of_the_model_and_is_trained_with_it() -> None:
    front = nn.Conv2d(3, 3, 1)
    nn.init.dirac_(front.weight)
    nn.init.zeros_(front.bias if front.bias is not None else torch.zeros(1))
    start = benchkit.Preprocessed(WORLD.victim, front)
    torch.testing.assert_close(start.logits(IMAGES), WORLD.victim.logits(IMAGES), atol=1e-3, rtol=1e-3)
    before = start.state()
    how = Fit(start=start, epochs=1)
    tuned = WORLD.trainer.fit(WORLD.data.train, how, rng=torch.Generator().manual_seed(0)).state()
    assert not torch.equal(before["before.weight"], tuned["before.weight"])
    assert not torch.equal(before["model.net.9.weight"], tuned["model.net.9.weight"])
    assert all(torch.equal(value, before[name]) for name, value in start.state().items())


def test_the_kit_tells_an_attack_that_its_victim_cannot_be_stored() -> None:
    def train(self: Any, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier:
        return benchkit.Ensemble([scene.network()])

    with pytest.raises(benchkit.ContractError, match="of type Ensemble that is no network of this scene"):
        check_train(broken(Patch, access="training", train=train)())
