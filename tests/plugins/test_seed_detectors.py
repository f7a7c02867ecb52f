"""SentiNet and anomaly detection on pixels against known answers."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins._shared.oneclass import distance, machine, outside
from benchkit_plugins.defenses.nt_anomaly import NtAnomaly
from benchkit_plugins.defenses.sentinet import SentiNet
from sklearn.svm import OneClassSVM
from torch import Tensor

import benchkit
from benchkit.testing import worlds


def smooth(count: int, seed: int) -> benchkit.Split:
    """Return images 1 x 8 x 8 of a few smooth directions and little noise, of two classes."""
    rng = torch.Generator().manual_seed(seed)
    axes = torch.randn(5, 64, generator=torch.Generator().manual_seed(99))
    pixels = 128 + 20 * torch.randn(count, 5, generator=rng) @ axes + 3 * torch.randn(count, 64, generator=rng)
    images = pixels.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 8, 8)
    return benchkit.Split(images, torch.arange(count) % 2)


def prepared(defense: NtAnomaly, clean: benchkit.Split) -> benchkit.Scene:
    rng = torch.Generator().manual_seed(0)
    scene = benchkit.Scene(2, (1, 8, 8), torch.device("cpu"), clean, rng)
    return benchkit.Scene(2, (1, 8, 8), torch.device("cpu"), clean, rng, prepared=defense.prepare(scene))


@pytest.mark.parametrize("rule", ["svm", "mahalanobis"])
def test_false_alarms_on_fresh_images_are_those_asked_for(rule: str) -> None:
    defense = NtAnomaly(rule=rule, components=16)
    scene = prepared(defense, smooth(2000, 0))
    scores = defense.score(smooth(1000, 1).images, scene)
    assert float((scores > defense.cutoff(scene)).float().mean()) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("rule", ["svm", "mahalanobis"])
def test_noise_is_flagged_and_what_components_leave_out_counts(rule: str) -> None:
    defense = NtAnomaly(rule=rule, components=5)
    scene = prepared(defense, smooth(600, 2))
    rng = torch.Generator().manual_seed(3)
    noise = torch.randint(256, (50, 1, 8, 8), generator=rng).to(torch.uint8)
    assert bool((defense.score(noise, scene) > defense.cutoff(scene)).all())
    beside = smooth(50, 4).images.clone()
    beside[:, :, :3, :3] = 255  # outside of the plane of the components
    assert float((defense.score(beside, scene) > defense.cutoff(scene)).float().mean()) > 0.9


def test_the_stored_machine_decides_as_the_library_does() -> None:
    places, fresh = (torch.randn(count, 7, generator=torch.Generator().manual_seed(count)) for count in (200, 50))
    library = OneClassSVM(nu=0.1, gamma="scale").fit(places.double().numpy())
    expected = -torch.from_numpy(library.decision_function(fresh.double()))
    torch.testing.assert_close(outside(fresh, machine(places, 0.1)).double(), expected, atol=1e-3, rtol=1e-3)


def test_distances_are_in_the_order_of_decisions_and_grow_where_those_are_all_one() -> None:
    places, fresh = (torch.randn(count, 7, generator=torch.Generator().manual_seed(count)) for count in (200, 50))
    found = machine(places, 0.1)
    assert torch.equal(distance(fresh, found).argsort(), outside(fresh, found).argsort())
    far = torch.linspace(60, 90, 7)[:, None] * torch.ones(7)
    assert len(outside(far, found).unique()) == 1
    assert bool((distance(far, found).diff() > 0).all())


WORLD = worlds.bn_plant(3, 2)


def points(defense: SentiNet, images: Tensor) -> tuple[Tensor, Tensor]:
    scene = WORLD.scene(defense)
    return defense._points(images, scene.fitted, scene)


def test_regions_are_the_asked_share_of_each_image() -> None:
    defense = SentiNet(region=0.1)
    images = WORLD.triggered[:9]
    regions = defense.regions(images, WORLD.model.logits(images).argmax(1), WORLD.model)
    assert regions.shape == (9, *images.shape[-2:])
    assert set(regions.flatten(1).sum(1).tolist()) == {round(0.1 * images.shape[-1] * images.shape[-2])}


def test_a_region_with_the_trigger_fools_every_carrier() -> None:
    fooled, _ = points(SentiNet(), WORLD.triggered[:20])
    assert float(fooled.min()) == 1.0
    clean, _ = points(SentiNet(), WORLD.test.images[:20])
    assert float(clean.mean()) < 0.6


def test_a_region_of_all_pixels_fools_every_carrier_with_any_image() -> None:
    fooled, confidence = points(SentiNet(region=0.999), WORLD.test.images[:20])
    assert float(fooled.min()) == 1.0
    assert float(confidence.std()) < 0.05, "all that is left of the carriers is noise"


def test_the_score_is_how_far_an_image_is_above_the_clean_ones() -> None:
    defense = SentiNet()
    scene = WORLD.scene(defense)
    assert scene.fitted["carriers"].shape[0] == 16
    powers = torch.tensor([1.0, 0.5, 0.25])
    images = WORLD.triggered[:5]
    fooled, confidence = defense._points(images, scene.fitted, scene)
    expected = fooled - (confidence[:, None] ** torch.arange(3)) @ scene.fitted["parabola"]
    torch.testing.assert_close(defense.score(images, scene), expected)
    assert float(powers @ scene.fitted["parabola"]) <= 1.2
