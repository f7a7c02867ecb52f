"""Cutout, mixup, CutMix and MaxUp: the pixels and labels of their batches, and what is learned from these."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_scenes import noise, seeded
from benchkit_plugins._shared.mixing import Boxes, Holes, Mixing, boxes, softened
from benchkit_plugins.defenses.cutmix import CutMix
from benchkit_plugins.defenses.cutout import Cutout
from benchkit_plugins.defenses.maxup import MaxUp, Worst
from benchkit_plugins.defenses.mixup import Fading, Mixup
from steered import step_of
from torch import Tensor

import benchkit
from benchkit.testing.world import CLASSES, world

COUNT = 12
WORLD = world(3, 16)
SCENE = WORLD.defending(Cutout())
LABELS = torch.arange(COUNT) % CLASSES


def step(images: Tensor, labels: Tensor = LABELS, **more: Any) -> benchkit.Step:
    return step_of(images, labels, torch.arange(len(labels)), **more)


@pytest.mark.parametrize(("centre", "pixels"), [((16, 16), 64), ((0, 16), 32), ((0, 0), 16), ((31, 31), 25)])
def test_boxes_are_clipped_at_the_border(centre: tuple[int, int], pixels: int) -> None:
    covered = boxes((32, 32), torch.tensor([centre[0]]), torch.tensor([centre[1]]), 8.9, 8.0)
    assert int(covered.sum()) == pixels


def test_holes_have_the_mean_colour_and_are_elsewhere_in_each_image() -> None:
    images = noise(COUNT, (3, 32, 32))
    model = benchkit.Classifier(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, CLASSES)), *torch.rand(2, 3)
    )
    made = Holes(0.25, seeded()).inputs(step(images, model=model)).floats
    hidden = (made != images / 255).any(1)
    assert all(16 <= int(one.sum()) <= 64 for one in hidden)
    assert len({tuple(one.flatten().tolist()) for one in hidden}) == COUNT
    for image, hole in zip(made, hidden, strict=True):
        torch.testing.assert_close(image[:, hole], model.mean[:, None].expand(3, int(hole.sum())))


def test_a_box_comes_from_one_other_image_and_the_label_keeps_the_share_of_the_area_that_is_left() -> None:
    images, steering = torch.arange(COUNT).byte()[:, None, None, None].expand(-1, 3, 32, 32), Boxes(SCENE, 1.0)
    for _ in range(20):
        made = steering.inputs(step(images, torch.arange(COUNT) % CLASSES))
        grey = (made.floats * 255).round().int()
        for row in range(COUNT):
            others = grey[row][grey[row] != row].unique().tolist()
            assert len(others) <= 1
            kept = float((grey[row] == row).float().mean())
            wanted = kept * F.one_hot(LABELS[row], CLASSES)
            wanted = wanted + (1 - kept) * F.one_hot(LABELS[others[0] if others else row], CLASSES)
            torch.testing.assert_close(made.labels[row], wanted, atol=1e-5, rtol=0)


def test_clipped_boxes_leave_seven_tenths_on_average() -> None:
    """And not the half that is drawn. The standard error of 4,000 draws is 0.004."""
    steering, order = Boxes(SCENE, 1.0), torch.tensor([0])
    image = torch.zeros(1, 1, 32, 32)
    kept = [steering.mixed(image, order, float(steering.draws.beta(1, 1)))[1] for _ in range(4000)]
    assert sum(kept) / len(kept) == pytest.approx(0.70, abs=0.015)


def test_a_share_of_one_mixes_nothing() -> None:
    images, order = noise(COUNT, (3, 8, 8)) / 255, torch.randperm(COUNT, generator=seeded())
    for steering in (Fading(SCENE, 1.0), Boxes(SCENE, 1.0)):
        made, kept = steering.mixed(images, order, 1.0)
        assert (kept, torch.equal(made, images)) == (1.0, True)
    half, kept = Fading(SCENE, 1.0).mixed(images, order, 0.25)
    torch.testing.assert_close(half, 0.25 * images + 0.75 * images[order])
    assert kept == 0.25


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_soft_labels_is_the_mixture_of_both_losses(smoothing: float) -> None:
    logits, order = torch.randn(COUNT, CLASSES, generator=seeded()), torch.randperm(COUNT, generator=seeded())
    each = [F.cross_entropy(logits, one, label_smoothing=smoothing) for one in (LABELS, LABELS[order])]
    mixed = F.cross_entropy(logits, softened(LABELS, order, 0.3, CLASSES), label_smoothing=smoothing)
    torch.testing.assert_close(mixed, 0.3 * each[0] + 0.7 * each[1])
    alike = softened(LABELS * 0 + 2, order, 0.3, CLASSES)
    torch.testing.assert_close(F.cross_entropy(logits, alike), F.cross_entropy(logits, LABELS * 0 + 2))


@pytest.mark.parametrize("make", [Fading, Boxes])
def test_batches_are_mixed_with_the_asked_probability(make: type[Mixing]) -> None:
    images, steering = noise(COUNT, (3, 8, 8)), make(SCENE, 1.0, 0.25)
    mixed = sum(steering.inputs(step(images)).labels.dtype == torch.float32 for _ in range(400))
    assert 60 < mixed < 140  # 100, 4.6 standard deviations


def test_the_worst_copy_is_the_one_that_is_learned() -> None:
    """Copies of an image get brighter and brighter, and the loss of a bright one is larger."""

    class Brighter(benchkit.Steering):
        done = 0

        def inputs(self, step: benchkit.Step) -> benchkit.Step:
            self.done += 1
            return step.replaced(images=step.floats * 0 + self.done / 10)

    head = torch.nn.Linear(3, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0] * 3, [1.0] * 3]))
    model = benchkit.Classifier(torch.nn.Sequential(torch.nn.Flatten(), head), torch.zeros(3), torch.ones(3))
    worst = Worst(3, Brighter())
    images = torch.zeros(4, 3, 1, 1, dtype=torch.uint8)
    made = worst.inputs(worst.batch(step(images, torch.tensor([0, 0, 1, 1]), model=model)))
    assert made.rows.tolist() == [0, 1, 2, 3] * 3
    assert worst._worst(made).tolist() == [8, 9, 2, 3]
    expected = F.cross_entropy(model(made.images[worst._worst(made)]), torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(worst.objective(made), expected)


def test_looking_for_the_worst_leaves_no_trace_in_the_statistics_of_batches() -> None:
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    model = benchkit.Classifier(net, torch.zeros(3), torch.ones(3)).train()
    before = {name: one.clone() for name, one in model.named_buffers()}
    images = torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    asked = step(images, torch.tensor([0, 1] * 4), model=model)
    Worst(2, benchkit.Steering())._worst(asked)
    assert all(torch.equal(one, before[name]) for name, one in model.named_buffers())
    model(images)
    assert not all(torch.equal(one, before[name]) for name, one in model.named_buffers())


def test_the_worst_of_one_copy_is_plain_training_bit_for_bit() -> None:
    plain, worst = (
        WORLD.defending(MaxUp()).fit(WORLD.data.train, epochs=1, steering=steering).state()
        for steering in (benchkit.Steering(), Worst(1, benchkit.Steering()))
    )
    assert all(torch.equal(one, worst[name]) for name, one in plain.items())


@pytest.mark.parametrize("defense", [Cutout(), Mixup(), CutMix(), MaxUp(2), MaxUp(2, "cutmix")], ids=str)
def test_what_is_trained_on_mixed_images_knows_whole_ones(defense: benchkit.RobustTraining) -> None:
    model, test = defense.train(WORLD.data.train, WORLD.defending(defense)), WORLD.data.test
    assert isinstance(model, benchkit.Classifier)
    assert (model.logits(test.images).argmax(1) == test.labels).float().mean() > 0.9
