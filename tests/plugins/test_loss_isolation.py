"""Loss-based isolation: does it drop the poison, as many images as it says, and those that are learned most easily?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attack_scenes import seeded
from backdoored_toy import TRAIN, poisoned, scene
from benchkit_plugins.defenses.loss_isolation import LossIsolation

from benchkit.contracts.data import Split
from benchkit.contracts.steering import Fit
from benchkit.models.classifier import Classifier
from benchkit.training.trainer import Trainer

QUARTER = 150 / 600


def test_it_finds_the_poison() -> None:
    """36 of 600 images are poison: 6 %."""
    dropped = LossIsolation(isolation=0.06, warmup=0.4).suspicion(poisoned().data, scene()) > 0
    assert poisoned().mask[dropped].float().mean() > 0.8


@pytest.mark.parametrize("share", [0.01, 0.1, QUARTER])
def test_it_drops_its_share_of_any_set(share: float) -> None:
    dropped = LossIsolation(isolation=share).suspicion(TRAIN, scene()) > 0
    assert int(dropped.sum()) == int(share * 600)


def test_the_dropped_have_the_lowest_losses() -> None:
    losses = LossIsolation().isolated_losses(TRAIN, scene(seed=3))
    suspicion = LossIsolation(isolation=QUARTER).suspicion(TRAIN, scene(seed=3))
    assert losses[suspicion > 0].max() <= losses[suspicion <= 0].min()
    assert suspicion[losses.argmin()] == suspicion.max()


def test_suspicion_follows_the_rows(monkeypatch: pytest.MonkeyPatch, benign: Classifier) -> None:
    """With one model for both orders, what an image is scored does not depend on its place."""
    monkeypatch.setattr(Trainer, "fit", lambda *_, **__: benign)
    order = torch.randperm(len(TRAIN), generator=seeded(9))
    straight, shuffled = (LossIsolation().suspicion(data, scene()) for data in (TRAIN, TRAIN[order]))
    assert (straight[order] - shuffled).abs().max() <= 2  # ties


@pytest.mark.parametrize(("warmup", "epochs"), [(0.2, 2.0), (1.0, 10.0), (0.01, 1.0)])
def test_it_trains_a_share_of_the_recipe_and_an_epoch_at_least(
    monkeypatch: pytest.MonkeyPatch, benign: Classifier, warmup: float, epochs: float
) -> None:
    asked: list[Fit] = []

    def fit(self: Trainer, data: Split, how: Fit, **_: Any) -> Classifier:
        asked.append(how)
        return benign

    monkeypatch.setattr(Trainer, "fit", fit)
    LossIsolation(warmup=warmup).suspicion(TRAIN, scene())
    assert [how.epochs for how in asked] == [epochs]
