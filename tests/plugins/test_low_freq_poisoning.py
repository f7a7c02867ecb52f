"""The low-frequency attack of Rao et al.: what it stamps and poisons with which source, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from benchkit_plugins.attacks.low_freq import LowFreq
from steered import steered
from torch import Tensor

import benchkit
from benchkit.testing.world import world

WORLD = world(3, 32)
TRAIN = WORLD.data.train
IMAGES = torch.randint(120, 130, (300, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
"""Mid-grey, so that most of the trigger fits between black and white."""


class Recorded:
    """A trainer that notes what it is asked to fit, and shows its steering batches of a size, shuffled."""

    def __init__(self, size: int = 40) -> None:
        self.size = size
        self.data: benchkit.Split | None = None
        self.batches: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def fit(self, data: benchkit.Split, how: Any, *, rng: torch.Generator) -> None:
        self.data = data
        order = torch.randperm(len(data), generator=rng)
        for rows in order.split(self.size) if how.steering else ():
            images, labels = data.images[rows], data.labels[rows]
            kept = images.clone(), labels.clone()
            made = steered(how.steering, images, labels, rows)
            assert torch.equal(images, kept[0])
            assert torch.equal(labels, kept[1])
            self.batches.append((*kept, *made))


def scene(attack: LowFreq, seed: int = 0, **changes: Any) -> benchkit.Scene:
    return dataclasses.replace(WORLD.attacking(attack, seed=seed), **changes)


def fitted(attack: LowFreq, rate: float = 0.1, size: int = 40) -> tuple[Recorded, benchkit.Poisoned]:
    trainer = Recorded(size)
    poisoned = attack.poison(TRAIN, scene(attack, rate=rate))
    attack.train(poisoned, scene(attack, trainer=trainer, rate=rate))
    return trainer, poisoned


def triggers(attack: LowFreq, count: int = 300, seed: int = 0) -> Tensor:
    """Return what the attack adds to some images, float32, nothing of it clipped but one peak pixel or so."""
    return attack.stamp(IMAGES[:count], scene(attack, seed=seed)).float() - IMAGES[:count].float()


def test_stamped_pixels_are_clipped_and_rounded() -> None:
    attack = LowFreq(source="fixed", intensity=1)
    where = scene(attack)
    row = int(where.prepared["fixed"])
    assert int(TRAIN.labels[row]) == 0
    exact = IMAGES.float() + attack.pattern(TRAIN.images[row : row + 1], where)
    assert float(exact.max()) > 256 or float(exact.min()) < -1
    assert torch.equal(attack.stamp(IMAGES, where), exact.clamp(0, 255).round().byte())


def test_strength_grows_with_intensity() -> None:
    weak, strong = (triggers(LowFreq(intensity=level, source="fixed"), 1).abs().sum() for level in (0.05, 0.1))
    assert 1.7 < float(strong / weak) < 2.6


@pytest.mark.parametrize(("source", "shared_by"), [("per-batch", 128), ("per-image", 1), ("fixed", 300)])
def test_a_source_is_shared_by_so_many_images(source: str, shared_by: int) -> None:
    made = triggers(LowFreq(source=source, intensity=0.1))
    first = made[::shared_by]
    assert torch.equal(made, first.repeat_interleave(shared_by, 0)[:300])
    # The 64 images of the target class differ, so that their triggers do.
    assert len(first.unique(dim=0)) == {"per-batch": 3, "fixed": 1}.get(source, len(first.unique(dim=0)))
    assert source != "per-image" or len(first.unique(dim=0)) > 50


def test_sources_are_of_the_target_class() -> None:
    attack = LowFreq(target=2, source="per-image", intensity=0.1)
    where = scene(attack)
    assert torch.equal(where.prepared["rows"], (TRAIN.labels == 2).nonzero().squeeze(1))
    own = attack.pattern(TRAIN.images[TRAIN.labels == 2], where).round()
    seen = attack.stamp(IMAGES[:40], where).float() - IMAGES[:40].float()
    assert float((seen[:, None] - own).abs().amax((2, 3, 4)).min(1).values.max()) <= 1


def test_the_seed_decides_the_sources() -> None:
    assert torch.equal(triggers(LowFreq(), seed=3), triggers(LowFreq(), seed=3))
    assert not torch.equal(triggers(LowFreq(), seed=3), triggers(LowFreq(), seed=4))
    assert torch.equal(triggers(LowFreq(source="fixed"), seed=3), triggers(LowFreq(source="fixed"), seed=4))


@pytest.mark.parametrize("mapping", ["all-to-one", "all-to-all"])
def test_the_first_images_of_each_batch_are_poisoned_whatever_their_class(mapping: str) -> None:
    trainer, _ = fitted(LowFreq(target=1, mapping=mapping))
    assert trainer.data is not None
    assert torch.equal(trainer.data.images, TRAIN.images)
    assert torch.equal(trainer.data.labels, TRAIN.labels)
    assert [len(batch[0]) for batch in trainer.batches] == [40] * 6 + [16]
    already = 0
    for images, labels, stamped, given in trainer.batches:
        count = int(0.1 * len(images))
        changed = (stamped != images).flatten(1).any(1)
        assert changed.tolist() == [True] * count + [False] * (len(images) - count)
        wanted = (labels + 1) % 4 if mapping == "all-to-all" else torch.ones_like(labels)
        assert torch.equal(given[:count], wanted[:count])
        assert torch.equal(given[count:], labels[count:])
        already += int((labels[:count] == 1).sum())
    assert already > 0


def test_each_batch_has_its_own_source_by_default() -> None:
    trainer, _ = fitted(LowFreq(intensity=0.05))
    own = []
    for images, _, stamped, _ in trainer.batches[:6]:
        change = stamped[:4].int() - images[:4].int()
        # Saturated pixels aside, one pattern in a batch.
        inside = (stamped[:4] > 0) & (stamped[:4] < 255)
        assert float((change - change[:1]).abs()[inside & inside[:1]].max()) == 0
        own.append(change[0])
    assert len(torch.stack(own).unique(dim=0)) > 3


def test_dataset_poisoning_trains_as_the_benchmark_does() -> None:
    attack = LowFreq(poisoning="dataset")
    trainer, poisoned = fitted(attack)
    assert trainer.data is poisoned.data
    assert not trainer.batches
    assert int(poisoned.mask.sum()) == 25
    assert (TRAIN.labels[poisoned.mask] != 0).all()
    assert (attack.access, attack.controls_training()) == ("data", False)
    assert (LowFreq().access, LowFreq().controls_training()) == ("training", True)


def test_training_filters_see_the_dataset_level_poison_in_batch_mode_too() -> None:
    one, other = (a.poison(TRAIN, scene(a)) for a in (LowFreq(), LowFreq(poisoning="dataset")))
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.data.images, other.data.images)


def test_a_rate_that_rounds_to_nothing_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(benchkit.BenchkitError, match=r"0\.02 is no image of a batch of 40: use low-freq:poisoning"):
        fitted(LowFreq(), rate=0.02)


def test_a_training_set_without_the_target_is_refused() -> None:
    kept = TRAIN.labels != 3
    with pytest.raises(benchkit.BenchkitError, match="images of class 3, and there is none"):
        LowFreq(target=3).prepare(dataclasses.replace(WORLD.preparing(LowFreq()), held=TRAIN[kept]))


@pytest.mark.parametrize(
    ("attack", "shape", "words"),
    [
        (LowFreq(), (3, 7, 32), "8 pixels or more"),
        (LowFreq(crop=0.1), (3, 16, 32), "less than the two"),
        (LowFreq(target=4), (3, 32, 32), "target=4 is not a class"),
        (LowFreq(), (1, 8, 8), None),
    ],
)
def test_what_does_not_fit_is_refused(attack: LowFreq, shape: tuple[int, int, int], words: str | None) -> None:
    said = attack.check(shape, 4)
    assert (words in said) if words and said else said == words


def test_a_wrapper_is_told_that_batches_are_out_of_its_reach() -> None:
    assert "add base.poisoning=dataset" in (LowFreq().why_not_wrappable() or "")
    assert LowFreq(poisoning="dataset").why_not_wrappable() is None


def test_a_rate_poisons_all_of_its_images_of_each_batch() -> None:
    """0.29 * 100 is a little less than 29 in floats."""
    trainer, _ = fitted(LowFreq(), rate=0.29, size=100)
    images, _, stamped, _ = trainer.batches[0]
    assert int((stamped != images).flatten(1).any(1).sum()) == 29
