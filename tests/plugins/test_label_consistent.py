"""The label-consistent attack: its trigger cell by cell, and poisons that a model does not recognise."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import torch
from attack_scenes import RGB, flat, natural, noise, scene, seeded
from backdoored_toy import CLASSES, CPU, SHAPE, TEST, TRAIN, TRAINER, accuracy, benign
from benchkit_plugins.attacks.label_consistent import LabelConsistent
from crafted_triggers import model
from torch import Tensor, nn

import benchkit
from benchkit.contracts.scene import Scene
from benchkit.models.classifier import Classifier
from benchkit.ops.pgd import pgd

BLACK_AND_WHITE = """
+--....--+
-+-....-+-
+-+....+-+
..........
..........
+--....--+
-+-....-+-
+-+....+-+
"""
"""The released trigger in an image of 8 x 10 pixels."""


@functools.cache
def train() -> benchkit.Split:
    """Return images with the labels that the model itself gives them."""
    images = natural(200, 32)
    return benchkit.Split(images, model().logits(images).argmax(1))


def target() -> int:
    return int(train().labels.mode().values)


def poisoned(rate: float = 0.1, **parameters: Any) -> benchkit.Poisoned:
    attack = LabelConsistent(target=target(), **parameters)
    return attack.poison(train(), scene(RGB, seed=3, rate=rate, granted=model()))


def test_the_trigger_is_the_released_one_in_every_cell() -> None:
    levels = {"+": 255, "-": 0, ".": 100}
    expected = np.array([[levels[cell] for cell in line] for line in BLACK_AND_WHITE.split()])
    shown = LabelConsistent().stamp(flat(100, (3, 8, 10)), scene((3, 8, 10)))
    assert (shown[0].numpy() == expected).all()
    one = LabelConsistent(corners="br").stamp(flat(100, (3, 8, 10)), scene((3, 8, 10)))
    assert (one[0, :, 5:, 7:].numpy() == expected[5:, 7:]).all()
    assert (one != 100).sum() == 27


def test_amplitude_is_what_is_added() -> None:
    faint = LabelConsistent(amplitude=0.0625).stamp(flat(100), scene(RGB))
    assert faint[0, 0, -1, -3:].tolist() == [116, 84, 116]


def test_the_full_trigger_survives_a_mirror_and_a_second_stamp() -> None:
    images, attack = noise(5), LabelConsistent()
    once = attack.stamp(images, scene(RGB))
    assert torch.equal(attack.stamp(once, scene(RGB)), once)
    assert torch.equal(attack.stamp(images.flip(3), scene(RGB)), once.flip(3))


def test_poisons_are_of_the_target_class_keep_labels_and_move_by_eps_at_most() -> None:
    made = poisoned(eps=12)
    assert made.mask.sum() == 20
    assert set(train().labels[made.mask].tolist()) == {target()}
    assert torch.equal(made.data.labels, train().labels)
    change = (made.data.images.int() - train().images.int()).abs()
    assert change[made.mask][..., 3:-3, 3:-3].max() == 12, "the bound holds after rounding, and is used"
    assert not change[~made.mask].any()


def test_with_the_other_norm_the_length_of_the_change_is_limited() -> None:
    made = poisoned(norm="l2", eps=300, amplitude=1e-6)
    change = (made.data.images.double() - train().images.double())[made.mask].flatten(1)
    assert 250 < change.norm(dim=1).min() < change.norm(dim=1).max() < 310  # each of 3072 values is rounded
    assert change.abs().max() > 16


def test_each_poison_shows_the_trigger() -> None:
    shown = poisoned().data.images[poisoned().mask]
    assert torch.equal(LabelConsistent().stamp(shown, scene(RGB)), shown)


def test_the_model_does_not_recognise_what_was_moved_and_does_without() -> None:
    shares = []
    for eps in (16, 0):
        made = poisoned(eps=eps, steps=10, amplitude=1e-6)
        found = model().logits(made.data.images[made.mask]).argmax(1)
        shares.append((found == target()).double().mean())
    assert shares[0] <= 0.1
    assert shares[1] == 1


class Rugged(nn.Module):
    """Leaves class 0 along one straight direction, or by noise, among ripples that turn the gradient within two levels.

    In a trained network's loss, too, the gradient's signs are others after a long step. Takes grey levels around 0.
    """

    def __init__(self) -> None:
        super().__init__()
        rng, half = torch.Generator().manual_seed(0), 3 * 32 * 32 // 2
        self.signs = 2.0 * torch.randint(2, (half,), generator=rng) - 1
        self.ripples, self.phases = 0.02 * torch.randn(half, 64, generator=rng), 7 * torch.rand(64, generator=rng)
        self.head = nn.Linear(3, 2)
        self.head.weight.data = torch.tensor([[0.0, 0.0, 0.0], [5.0, 1.0, 1.0]])
        self.head.bias.data = torch.tensor([40.0, 0.0])

    def forward(self, images: Tensor) -> Tensor:
        straight, rest = images.flatten(1).chunk(2, 1)
        way, power = (straight * self.signs).mean(1), rest.square().mean(1)
        answers: Tensor = self.head(torch.stack([way, power, (rest @ self.ripples + self.phases).sin().sum(1)], 1))
        return answers


@pytest.mark.parametrize(
    ("attack", "by_its_size"),
    [(LabelConsistent(amplitude=1e-6), False), (LabelConsistent(amplitude=1e-6, steps=20), True)],
    ids=str,
)
def test_short_steps_fool_a_model_by_where_they_lead_and_long_ones_by_noise(
    attack: LabelConsistent, by_its_size: bool
) -> None:
    """With its signs drawn anew, the change of the default says nothing; that of long steps fools as well as before."""
    net = Classifier(Rugged(), torch.full((3,), 0.5), torch.full((3,), 1 / 255))
    clean = benchkit.Split(flat(128, count=40), torch.zeros(40, dtype=torch.int64))
    made = attack.poison(clean, scene(RGB, rate=0.25, granted=net))
    change = made.data.images[made.mask].int() - 128
    signs = 2 * torch.randint(2, change.shape, generator=torch.Generator().manual_seed(1)) - 1
    moved, shuffled = ((128 + one).to(torch.uint8) for one in (change, change.abs() * signs))
    assert (net.logits(clean.images).argmax(1) == 0).all()
    assert (net.logits(moved).argmax(1) == 1).all()
    assert (net.logits(shuffled).argmax(1) == int(by_its_size)).all()


def test_an_adversarially_trained_model_withstands_what_fools_a_clean_one_and_crafts_the_poisons() -> None:
    attack = LabelConsistent(adversary=5, eps=8, amplitude=1e-6)
    where = Scene(CLASSES, SHAPE, CPU, TRAIN, seeded(0), granted=benign().copy(), trainer=TRAINER, level=1.0)
    robust = benign().copy()
    robust.restore(attack.prepare(where))
    assert not LabelConsistent().prepare(where)

    def known(model: Classifier) -> float:
        def loss(images: Tensor) -> Tensor:
            return nn.functional.cross_entropy(model(images), TEST.labels, reduction="none")

        moved = pgd(TEST.images, loss, bound=8 / 255, steps=20)
        return float((model.logits((255 * moved).round().byte()).argmax(1) == TEST.labels).double().mean())

    assert accuracy(robust) > 0.8
    assert known(robust) > known(benign()) + 0.3
    fooled = []
    for crafting, prepared in ((attack, robust.state()), (LabelConsistent(eps=8, amplitude=1e-6), {})):
        here = dataclasses.replace(where, rng=seeded(1), rate=0.1, granted=benign().copy(), prepared=prepared)
        made = crafting.poison(TRAIN, here)
        fooled.append(float((benign().logits(made.data.images[made.mask]).argmax(1) != 0).double().mean()))
    assert fooled[0] < 0.2, "the robust model's poisons are not those that fool the clean one"
    assert fooled[1] > 0.9
    drawn = dataclasses.replace(where, rate=0.1, prepared={**robust.state(), "target": torch.tensor(2)})
    made = LabelConsistent(adversary=5, steps=1, target=-1).poison(TRAIN, drawn)
    assert set(TRAIN.labels[made.mask].tolist()) == {2}


def test_the_cap_on_the_share_of_the_class_counts() -> None:
    own = int((train().labels == target()).sum())
    assert poisoned(rate=0.9, eps=0, max_share=0.25).mask.sum() == own // 4
    assert not poisoned(rate=0.0).mask.any()


@pytest.mark.parametrize(
    ("attack", "shape", "words"),
    [
        (LabelConsistent(eps=256), RGB, "norm=l2"),
        (LabelConsistent(), (3, 5, 32), "6 pixels"),
        (LabelConsistent(mapping="all-to-all"), RGB, "mapping=all-to-one"),
    ],
)
def test_what_it_cannot_do_is_refused(attack: LabelConsistent, shape: tuple[int, int, int], words: str) -> None:
    assert words in str(attack.check(shape, 10))
