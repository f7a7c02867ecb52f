"""Beatrix against known answers: Gram matrices of every order, and co-activations that means do not show."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins._shared.halves import drawn_halves
from benchkit_plugins.defenses.beatrix import Beatrix, gram
from torch import Tensor, nn

import benchkit
from benchkit.testing import worlds

ORDERS = range(1, 9)


def maps(seed: int = 0, channels: int = 5) -> Tensor:
    return torch.randn(7, channels, 12, generator=torch.Generator().manual_seed(seed))


def test_of_one_channel_it_is_the_sum_of_squares() -> None:
    one = maps(channels=1)
    torch.testing.assert_close(gram(one, 1), one.square().sum((1, 2))[:, None])


@pytest.mark.parametrize("order", ORDERS)
def test_every_entry_is_the_root_of_the_product_of_powers(order: int) -> None:
    given = maps()
    power = given.double() ** order
    product = power @ power.transpose(1, 2)
    expected = (product.sign() * product.abs() ** (1 / order))[:, *torch.triu_indices(5, 5)]
    torch.testing.assert_close(gram(given, order).double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_scaled_features_have_the_squared_scale_in_every_order(order: int) -> None:
    """At 300 times the size, the sixteenth powers of plain float32 would be infinite."""
    torch.testing.assert_close(gram(300 * maps(), order), 300**2 * gram(maps(), order), rtol=1e-4, atol=1e-1)


class Pairs(nn.Module):
    """Shows two channels of blocks, which are both bright in one block of two; a head that tells nothing apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 4)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(2, 3)[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(x).mean((2, 3)))
        return logits


def bright(together: bool, count: int, seed: int) -> Tensor:
    """Return images whose first two channels are bright in half of all pixels each: the same, or the other half."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.rand(count, 64, generator=rng).argsort(1)
    first = order < 32
    second = first if together else ~first
    noise = torch.randint(0, 30, (count, 3, 64), generator=rng)
    levels = torch.stack([first, second, torch.zeros_like(first)], 1) * 200 + noise
    return levels.view(count, 3, 8, 8).to(torch.uint8)


def test_features_that_are_active_together_are_flagged_although_their_means_are_equal() -> None:
    clean, other, new = (bright(*one) for one in ((False, 200, 0), (True, 50, 1), (False, 50, 2)))
    model = benchkit.Classifier(Pairs(), torch.zeros(3), torch.ones(3))
    held = benchkit.Split(clean, torch.arange(200) % 4)
    scene = benchkit.Scene(4, (3, 8, 8), torch.device("cpu"), held, torch.Generator(), granted=model)
    scene = benchkit.Scene(
        *(4, (3, 8, 8), torch.device("cpu"), held, torch.Generator()),
        granted=model, fitted=Beatrix().fit(scene),
    )  # fmt: skip
    features = [model.features(images).mean(0) for images in (other, new)]
    torch.testing.assert_close(*features, rtol=0.02, atol=0.02)
    cutoff = Beatrix().cutoff(scene)
    assert (Beatrix().score(other, scene) > cutoff).all()
    assert (Beatrix().score(new, scene) > cutoff).double().mean() < 0.2


def test_no_image_that_sets_the_threshold_is_part_of_the_mean_that_it_is_divided_by() -> None:
    """Such a score is too small, and so is the threshold: with four images of a class by half of what it flags."""
    model = benchkit.Classifier(Pairs(), torch.zeros(3), torch.ones(3))
    held = benchkit.Split(bright(False, 32, 0), torch.arange(32) % 4)
    given = (4, (3, 8, 8), torch.device("cpu"), held, torch.Generator())
    fitted = Beatrix(width=1.0).fit(benchkit.Scene(*given, granted=model))
    scene = benchkit.Scene(*given, granted=model, fitted=fitted)
    others = drawn_halves(held)[1].images
    said = model.logits(others).argmax(1)
    deviations = Beatrix(width=1.0).score(others, scene) * fitted["usual"][said]
    calibrated = Beatrix(width=1.0).calibration(scene)
    for own in range(len(others)):
        same = (said == said[own]) & (torch.arange(len(others)) != own)
        assert int(same.sum()) >= 3
        assert float(calibrated[own]) == pytest.approx(float(deviations[own] / deviations[same].mean()), rel=1e-4)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_class_of_few_clean_images_is_judged_by_those_of_all(left: int) -> None:
    world = worlds.patch(2)
    of_it = (world.holdout.labels == 1).nonzero().squeeze(1)
    kept = torch.ones(len(world.holdout), dtype=torch.bool)
    kept[of_it[2 * left :]] = False  # half of them give the bounds
    scene = benchkit.Scene(
        *(world.classes, world.shape, torch.device("cpu"), world.holdout[kept], torch.Generator()),
        granted=world.model.copy(),
    )  # fmt: skip
    found = Beatrix().fit(scene)
    assert all(found[name].isfinite().all() for name in ("usual", "others"))
    assert (found["bounds"] == -1).tolist() == [label == 1 for label in range(world.classes)]
    assert len(found["low"]) == world.classes, "those of the other classes, and of all images"


def test_triggered_images_of_a_target_with_one_clean_image_do_not_score_below_clean_ones() -> None:
    world = worlds.patch(2)
    rows = (world.holdout.labels == 2).nonzero().squeeze(1)
    kept = torch.ones(len(world.holdout), dtype=torch.bool)
    kept[rows[2:]] = False
    given = (world.classes, world.shape, torch.device("cpu"), world.holdout[kept], torch.Generator())
    fitted = Beatrix().fit(benchkit.Scene(*given, granted=world.model.copy()))
    scene = benchkit.Scene(*given, granted=world.model.copy(), fitted=fitted)
    clean, triggered = (Beatrix().score(images, scene) for images in (world.test.images, world.triggered))
    assert (triggered[:, None] > clean).double().mean() > 0.5
