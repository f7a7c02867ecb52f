"""Sharpness-aware minimisation as a setting of a training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import benchkit
from benchkit.contracts.steering import Fit
from benchkit.testing.world import world

WORLD = world(3, 16)


def tuned(**settings: Any) -> benchkit.Classifier:
    how = Fit(start=WORLD.clean_model, epochs=1, **settings)
    return WORLD.trainer.fit(WORLD.poisoned.data, how, rng=torch.Generator().manual_seed(3))


class Twice(benchkit.Steering):
    """Keeps the weights and the buffers at which it is asked for gradients, and the first of them."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.first: Tensor = torch.empty(0)
        self.buffers: list[Tensor] = []

    def gradients(self, step: benchkit.Step) -> Tensor:
        weights = [weight.detach().flatten().clone() for weight in step.model.parameters()]
        self.weights.append(torch.cat(weights))
        loss = super().gradients(step)
        gradients = [weight.grad.flatten() for weight in step.model.parameters() if weight.grad is not None]
        self.first = self.first if len(self.first) else torch.cat(gradients)
        self.buffers.append(torch.cat([one.double().flatten() for one in step.model.buffers()]))
        return loss


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_second_gradient_is_taken_as_far_away_as_asked_and_along_the_first(adaptive: bool) -> None:
    twice = Twice()
    tuned(sam=benchkit.Sam(0.5, adaptive=adaptive), steering=twice)
    before, above = twice.weights[:2]
    scale = before.abs() if adaptive else torch.ones_like(before)
    moved, wanted = above - before, scale.square() * twice.first
    moves = wanted.abs() > 0
    assert float((moved / scale)[moves].norm()) == pytest.approx(0.5, rel=1e-2)
    assert float(torch.cosine_similarity(moved, wanted, dim=0)) > 0.999


def test_statistics_are_those_of_the_first_pass_and_the_layer_counts_it_once() -> None:
    twice = Twice()
    tuned(sam=benchkit.Sam(0.5), steering=twice)
    assert len(twice.buffers) == 16
    for first, second in zip(twice.buffers[::2], twice.buffers[1::2], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(twice.buffers[0], twice.buffers[2])
    assert all(layer.track_running_stats for layer in tuned().modules() if isinstance(layer, nn.BatchNorm2d))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "recipe"])
def test_a_radius_of_0_changes_no_bit_and_another_one_does(optimizer: str) -> None:
    plain = tuned(optimizer=optimizer).state()
    none, some = (tuned(optimizer=optimizer, sam=benchkit.Sam(rho)).state() for rho in (0.0, 0.5))
    assert all(torch.equal(value, none[name]) for name, value in plain.items())
    assert not torch.equal(plain["net.9.weight"], some["net.9.weight"])


def test_a_radius_below_0_is_refused() -> None:
    with pytest.raises(benchkit.ContractError, match=r"radius of 0 or more, got rho=-1"):
        benchkit.Sam(-1)
