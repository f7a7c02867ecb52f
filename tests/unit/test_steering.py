"""A training that a method steers: what hooks see, and what their results do."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit
from benchkit.contracts.steering import Fit
from benchkit.testing.world import CLASSES, world

WORLD = world(3, 16)
DATA = WORLD.data.train


def fit(data: benchkit.Split = DATA, **settings: Any) -> benchkit.Classifier:
    return WORLD.trainer.fit(data, Fit(**{"epochs": 1, **settings}), rng=torch.Generator().manual_seed(3))


def same(one: benchkit.Classifier, other: benchkit.Classifier) -> bool:
    return all(torch.equal(value, other.state()[name]) for name, value in one.state().items())


def hits(model: benchkit.Classifier, labels: Tensor) -> float:
    return float((model.logits(WORLD.data.test.images).argmax(1) == labels).double().mean())


class Noted(benchkit.Steering):
    """Does nothing of its own, and keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, benchkit.Step]] = []

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        self.seen.append(("batch", step))
        return step

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        self.seen.append(("inputs", step))
        return step

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        assert logits.requires_grad
        self.seen.append(("loss", step))
        return super().loss(logits, step)

    def gradients(self, step: benchkit.Step) -> Tensor:
        assert all(weight.grad is None for weight in step.model.parameters())
        assert step.model.training
        self.seen.append(("gradients", step))
        return super().gradients(step)


def test_hooks_see_rows_images_labels_model_step_and_epoch_in_the_order_of_their_documentation() -> None:
    noted = Noted()
    fit(epochs=1.5, steering=noted)
    assert [name for name, _ in noted.seen] == ["batch", "inputs", "gradients", "loss"] * 12
    steps = [step for name, step in noted.seen if name == "batch"]
    assert [(step.number, step.total, step.epoch) for step in steps] == [(n, 12, n / 8) for n in range(12)]
    for step in steps:
        assert torch.equal(step.images, DATA.images[step.rows])
        assert torch.equal(step.labels, DATA.labels[step.rows])
        assert step.weights is None
    assert torch.cat([step.rows for step in steps[:8]]).sort().values.tolist() == list(range(len(DATA)))
    assert len({id(step.model) for step in steps}) == 1


def test_a_steering_that_changes_nothing_changes_no_bit() -> None:
    assert same(fit(), fit(steering=Noted()))


def test_a_batch_may_grow_and_be_relabelled() -> None:
    class Doubled(benchkit.Steering):
        def batch(self, step: benchkit.Step) -> benchkit.Step:
            twice = (torch.cat((one, one)) for one in (step.images, step.labels * 0 + 2, step.rows))
            return step.replaced(**dict(zip(("images", "labels", "rows"), twice, strict=True)))

    assert hits(fit(epochs=4, steering=Doubled()), WORLD.data.test.labels * 0 + 2) == 1


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_loss_of_ones_own_is_minimised(reduction: str) -> None:
    class Away(benchkit.Steering):
        def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
            return F.cross_entropy(logits, (step.labels + 1) % CLASSES, reduction=reduction)

    assert hits(fit(epochs=8, steering=Away()), (WORLD.data.test.labels + 1) % CLASSES) > 0.9


def test_soft_labels_of_one_class_are_trained_like_hard_ones() -> None:
    class Soft(benchkit.Steering):
        def inputs(self, step: benchkit.Step) -> benchkit.Step:
            return step.replaced(images=step.floats, labels=F.one_hot(step.labels, CLASSES).float())

    torch.testing.assert_close(fit(steering=Soft()).head.weight, fit().head.weight, atol=0.02, rtol=0)
    assert hits(fit(epochs=8, steering=Soft()), WORLD.data.test.labels) > 0.9


def test_rows_of_weight_0_teach_nothing_and_equal_weights_change_little() -> None:
    wrong = benchkit.Split(DATA.images, torch.where(DATA.labels == 1, 2, DATA.labels))
    model = fit(wrong, epochs=8, weights=(DATA.labels != 1).float())
    own = WORLD.data.test.labels == 1
    said = model.logits(WORLD.data.test.images).argmax(1)
    assert (said[~own] == WORLD.data.test.labels[~own]).double().mean() > 0.9
    torch.testing.assert_close(fit(weights=torch.ones(len(DATA))).head.weight, fit().head.weight, atol=0.02, rtol=0)
    doubled = fit(optimizer="sgd", lr=0.01, weights=torch.full((len(DATA),), 2.0))
    assert not same(doubled, fit(optimizer="sgd", lr=0.01))


def test_weights_follow_their_rows() -> None:
    class Weighed(Noted):
        def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
            assert torch.equal(step.weights if step.weights is not None else logits, step.rows.float())
            return super().loss(logits, step)

    noted = Weighed()
    fit(steering=noted, weights=torch.arange(len(DATA)))
    assert noted.seen


def test_gradients_of_ones_own_are_what_the_optimizer_gets() -> None:
    class Still(benchkit.Steering):
        def gradients(self, step: benchkit.Step) -> Tensor:
            loss = super().gradients(step)
            for weight in step.model.parameters():
                weight.grad = None if weight.dim() == 2 else weight.grad
            return loss

    start = WORLD.clean_model
    tuned = fit(start=start, steering=Still())
    assert torch.equal(tuned.head.weight, start.head.weight)
    assert not same(tuned, start)


def test_an_objective_may_use_more_than_the_logits() -> None:
    class Near(benchkit.Steering):
        """Stay near the weights of the start."""

        def objective(self, step: benchkit.Step) -> Tensor:
            moved = (step.model.head.weight - WORLD.clean_model.head.weight).square().sum()
            return super().objective(step) + 10 * moved

    def moved(**settings: Any) -> float:
        tuned = fit(WORLD.poisoned.data, start=WORLD.clean_model, **settings)
        return float((tuned.head.weight - WORLD.clean_model.head.weight).detach().norm())

    assert moved(steering=Near()) < 0.7 * moved()


def test_continuing_takes_sgd_by_default_and_the_recipe_where_asked() -> None:
    start = WORLD.clean_model
    before = start.state()
    plain, sgd, recipe = fit(start=start), fit(start=start, optimizer="sgd"), fit(start=start, optimizer="recipe")
    assert same(plain, sgd)
    assert not same(plain, recipe)
    assert not same(recipe, fit())
    assert all(torch.equal(value, before[name]) for name, value in start.state().items())


def test_weights_without_gradients_stay() -> None:
    start = WORLD.clean_model.copy()
    for weight in [*start.parameters()][:-2]:
        weight.requires_grad = False
    for optimizer in ("recipe", "sgd", "adam"):
        tuned = fit(start=start, optimizer=optimizer)
        kept = [torch.equal(one, other) for one, other in zip(start.parameters(), tuned.parameters(), strict=True)]
        assert kept[:-2] == [True] * (len(kept) - 2)
        assert kept[-2:] == [False, False]


def test_an_optimizer_of_torch_is_taken_as_it_is() -> None:
    own = fit(optimizer=lambda weights, lr: torch.optim.Adam(weights, lr, fused=True), lr=0.002)
    assert same(own, fit(optimizer="adam", lr=0.002))
    assert not same(own, fit(optimizer="adam", lr=0.004))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "sdg"}, "no optimizer 'sdg' .did you mean 'sgd'"),
        ({"optimizer": lambda weights, lr: None}, "needs lr="),
        ({"epochs": 0}, "epochs above 0"),
        ({"weights": torch.ones(3)}, "one finite weight of at least 0 for each of 256"),
        ({"weights": -torch.ones(256)}, "at least 0"),
        ({"steering": Noted}, "a benchkit.Steering as steering, got type"),
        ({"start": benchkit.FromFunction(lambda images: images, "cpu")}, "FromFunction: it has no gradients"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(benchkit.ContractError, match=words):
        fit(**settings)


class NoStep(benchkit.Steering):
    def batch(self, step: benchkit.Step) -> Any:
        return step.images


class Shorter(benchkit.Steering):
    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        return step.replaced(images=step.images[:5])


class NoNumber(benchkit.Steering):
    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        return logits.sum() * float("nan")


class OneNumber(benchkit.Steering):
    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        return F.cross_entropy(logits, step.labels)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steering": NoStep()}, "batch of a steering must return a step, got Tensor"),
        ({"steering": Shorter()}, "5 images, 32 labels and 32 rows: .* needs rows"),
        ({"steering": NoNumber()}, "training diverged by step 8 of 8"),
        ({"steering": OneNumber(), "weights": torch.ones(256)}, "return one loss for each image"),
    ],
)
def test_hooks_that_return_what_they_may_not_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(benchkit.BenchkitError, match=words):
        fit(**settings)


def test_scene_fit_has_the_settings_of_a_fit() -> None:
    ours = list(inspect.signature(benchkit.Scene.fit).parameters)[2:]
    assert ours == [field.name for field in dataclasses.fields(Fit)]
