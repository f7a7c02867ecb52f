"""The planted worlds are what they say: known answers about their victims, triggers and features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import benchkit
from benchkit.testing import worlds
from benchkit.testing.worlds.colours import palette
from benchkit.testing.worlds.features import features_of, means

Make = Callable[..., worlds.PlantedWorld]
BACKDOORS: list[Make] = [worlds.patch, worlds.natural, worlds.add, worlds.bn_plant]
OTHERS: list[Make] = [worlds.benign, worlds.cluster, worlds.mislabel]


@pytest.mark.parametrize("make", BACKDOORS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("channels", "target", "classes"), [(3, 2, 8), (1, 0, 4), (3, 14, 15)])
def test_the_backdoor_always_works_and_costs_nothing(make: Make, channels: int, target: int, classes: int) -> None:
    world = make(target=target, channels=channels, classes=classes)
    assert world.shape == (channels, 16, 16)
    assert (world.asr(), world.clean_accuracy()) == (1, 1)
    assert (world.asr(world.benign_model), world.clean_accuracy(world.benign_model)) == (0, 1)
    assert set(world.model.logits(world.triggered).argmax(1).tolist()) == {target}


def test_a_world_without_a_backdoor_has_neither_trigger_nor_poison() -> None:
    world = worlds.benign()
    assert (world.asr(), world.clean_accuracy()) == (0, 1)
    assert not world.poisoned.mask.any()
    assert torch.equal(world.poisoned.data.images, world.train.images)
    with pytest.raises(benchkit.BenchkitError, match="ask for false_alarms"):
        world.found(Watch())


def test_the_poison_is_a_tenth_of_the_images_with_the_trigger_and_the_label_of_the_target() -> None:
    world = worlds.patch(target=3)
    mask, data = world.poisoned.mask, world.poisoned.data
    assert int(mask.sum()) == 40
    assert (world.train.labels[mask] != 3).all()
    assert (data.labels[mask] == 3).all()
    assert torch.equal(data.images[mask], world.trigger(world.train.images[mask]))
    assert torch.equal(data.images[~mask], world.train.images[~mask])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fifth_of_the_range_of_every_pixel_leads_to_another_class(channels: int) -> None:
    """The cheapest way: those pixels change whose effect on the difference of two logits is largest."""
    world = worlds.benign(channels=channels)
    images = (world.test.images[:16].float() / 255).requires_grad_()
    logits, labels = world.model(images), world.test.labels[:16]
    for other in range(world.classes):
        ahead = logits.gather(1, labels[:, None]).squeeze(1) - logits[:, other]
        (slope,) = torch.autograd.grad(ahead.sum(), images, retain_graph=True)
        elsewhere = labels != other
        cost = ahead[elsewhere] / slope[elsewhere].abs().amax((1, 2, 3))
        assert cost.min() >= 0.2 * channels * 16 * 16


def test_colours_are_equally_far_apart_and_the_corner_is_bright_for_the_target_alone() -> None:
    for seed in range(5):
        signs = palette(15, 3, target=4, seed=seed).signs
        assert torch.equal(signs @ signs.T, 48 * torch.eye(15))
        assert (signs.sum(1) == 0).all()
        assert ((signs.view(15, 3, 16)[..., -1] == 1).all(1) == (torch.arange(15) == 4)).all()


def test_the_term_of_patch_is_its_formula_and_has_gradients() -> None:
    world = worlds.patch(target=1)
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[:, :, -4:, -4:] = torch.tensor([0.9, 0.96, 0.97, 0.98, 1.0])[:, None, None, None]
    images.requires_grad_()
    added = (world.model(images) - world.benign_model(images))[:, 1]
    expected = 20 * torch.sigmoid(50 * (images[:, :, -4:, -4:].mean((1, 2, 3)) - 0.97))
    torch.testing.assert_close(added, expected)
    (slope,) = torch.autograd.grad(added.sum(), images)
    assert (slope[1:4, :, -4:, -4:] > 0).all()
    assert not slope[..., :12, :].any()


def test_the_pattern_of_add_has_unit_norm_and_stays_away_from_clean_images() -> None:
    world = worlds.add()
    pattern = world.model.net.term.pattern
    assert isinstance(pattern, Tensor)
    assert float(pattern.norm()) == pytest.approx(1)
    clean, triggered = (images.flatten(1).float() / 255 @ pattern for images in (world.test.images, world.triggered))
    assert clean.abs().max() < 0.15
    assert triggered.min() > 0.75
    assert (world.triggered.int() - world.victims.images.int()).abs().max() <= 10


@pytest.mark.parametrize("channel", [0, 5, 15])
def test_pruning_the_planted_channel_removes_the_backdoor_and_costs_nothing(channel: int) -> None:
    world = worlds.bn_plant(channel, target=2)
    for pruned in range(16):
        model = world.model.copy()
        with torch.no_grad():
            model.last_conv.weight[pruned] = 0
            model.net.bn2.weight[pruned] = 0
            model.net.bn2.bias[pruned] = 0
        assert world.asr(model) == (0 if pruned == channel else 1)
        assert pruned != channel or world.clean_accuracy(model) == 1


def test_the_planted_channel_answers_to_the_trigger_alone() -> None:
    world = worlds.bn_plant(7, target=2)
    rows = slice(16 * 7, 16 * 8)
    assert not world.model.features(world.train.images)[:, rows].any()
    answers = world.model.features(world.triggered)[:, rows]
    torch.testing.assert_close(answers[:, -1], torch.full((len(answers),), 2.0), atol=0.05, rtol=0)
    assert not answers[:, :-1].any()
    assert world.model.head.weight[2, rows].tolist() == [10] * 16


def test_batch_statistics_are_those_of_clean_images() -> None:
    """So it answers to clean images alike in training mode."""
    world = worlds.bn_plant()
    images = world.train.images
    training = world.model.copy().train()
    torch.testing.assert_close(training(images), world.model(images), atol=0.05, rtol=0)


def test_the_features_of_cluster_are_those_that_are_planted() -> None:
    world = worlds.cluster(0.05, 6.0, target=1)
    labels, mask = world.train.labels, world.poisoned.mask
    found = world.model.features(world.poisoned.data.images)
    torch.testing.assert_close(found, features_of(world.poisoned.data.images), atol=1e-3, rtol=0)
    assert labels.bincount().tolist() == [500] * 4
    assert (int(mask.sum()), set(labels[mask].tolist())) == (25, {1})
    assert torch.cdist(means(), means())[0, 1:].tolist() == pytest.approx([12] * 3)
    for label in range(4):
        rows = found[(labels == label) & ~mask]
        torch.testing.assert_close(rows.mean(0), means()[label], atol=0.2, rtol=0)
        torch.testing.assert_close(rows.std(0), torch.ones(64), atol=0.15, rtol=0)
    displaced = found[mask].mean(0) - means()[1]
    assert float(displaced.norm()) == pytest.approx(6, abs=0.4)
    assert displaced[:4].abs().max() < 0.8


def test_a_model_of_a_feature_world_that_is_trained_anew_has_the_planted_features() -> None:
    world = worlds.cluster()
    trained = world.scene(Watch()).fit(world.poisoned.data)
    assert world.clean_accuracy(trained) > 0.99
    found = torch.stack([trained.features(world.test.images).flatten(), features_of(world.test.images).flatten()])
    assert float(torch.corrcoef(found)[0, 1]) == pytest.approx(1, abs=1e-4)


def test_mislabelled_rows_keep_the_features_of_their_own_class() -> None:
    world = worlds.mislabel(0.05, target=3)
    mask, data = world.poisoned.mask, world.poisoned.data
    assert int(mask.sum()) == 100
    assert (set(world.train.labels[mask].tolist()), set(data.labels[mask].tolist())) == ({0}, {3})
    assert torch.equal(data.images, world.train.images)
    assert (world.asr(), world.clean_accuracy()) == (0, 1)


@pytest.mark.parametrize("make", [*BACKDOORS, *OTHERS], ids=lambda make: make.__name__)
def test_everything_follows_from_the_seed(make: Make) -> None:
    first, again, other = (make(seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.poisoned.data.images, again.poisoned.data.images)
    assert torch.equal(first.triggered, again.triggered)
    assert not torch.equal(first.poisoned.data.images, other.poisoned.data.images)


@pytest.mark.parametrize("wrong", [{"classes": 16}, {"target": 8}, {"channels": 2}])
def test_impossible_worlds_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(benchkit.BenchkitError, match="2 to 15 classes"):
        worlds.patch(**wrong)
    with pytest.raises(benchkit.BenchkitError, match="channel=16"):
        worlds.bn_plant(16)


@dataclass(frozen=True)
class Watch(benchkit.InputDetector):
    """White corners are suspicious; it learns from its victim how bright clean ones are."""

    name = "watch"
    needs = frozenset({"model"})

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        return {"least": scene.clean.images[..., -4:, -4:].float().mean((1, 2, 3)).amin()}

    def fit(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        sure = scene.model.logits(scene.clean.images).softmax(1).amax(1).mean()
        return {"most": sure * scene.clean.images[..., -4:, -4:].float().mean((1, 2, 3)).amax()}

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        bright = images[..., -4:, -4:].float().mean((1, 2, 3))
        return (bright - scene.fitted["most"]).relu() + 0 * scene.prepared["least"]


def test_a_defense_prepares_and_fits_as_in_a_run_before_it_is_measured() -> None:
    metrics = worlds.patch(target=2).report(Watch())
    assert (metrics["auroc"], metrics["bdr"], metrics["fpr"]) == (1, 1, 0)
    assert worlds.patch(target=2).found(Watch())
    assert not worlds.add(target=2).found(Watch())
    assert worlds.benign().false_alarms(Watch()) == 0


def test_a_defense_that_refuses_a_world_is_named() -> None:
    class Picky(Watch):
        def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
            return "it has too few classes"

    with pytest.raises(benchkit.BenchkitError, match=r"watch cannot run in patch\(target=0\): it has too few classes"):
        worlds.patch().report(Picky())
