"""The two halves of a defender's clean images."""

from __future__ import annotations

import torch
from benchkit_plugins._shared.halves import drawn_halves, halves

import benchkit


def reserve(seed: int, rows: int = 40) -> benchkit.Split:
    """Return random images whose labels are their places."""
    images = torch.randint(256, (rows, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return benchkit.Split(images, torch.arange(rows))


def test_drawn_halves_are_the_whole_and_the_same_each_time() -> None:
    one, other = drawn_halves(reserve(0))
    assert sorted([*one.labels.tolist(), *other.labels.tolist()]) == list(range(40))
    assert len(one) == len(other)
    assert [half.labels.tolist() for half in drawn_halves(reserve(0))] == [one.labels.tolist(), other.labels.tolist()]


def test_no_place_is_in_the_same_half_of_each_reserve() -> None:
    """Rows of a reserve lie in the order of their classes: such a place would be a kind of image that is never seen."""
    drawn = [drawn_halves(reserve(seed))[0].labels.bincount(minlength=40) for seed in range(30)]
    times = torch.stack(drawn).sum(0)
    assert int(times.min()) >= 3
    assert int(times.max()) <= 27


def test_halves_of_labels_have_half_of_each_class_and_neighbours_on_either_side_or_the_same() -> None:
    """Neighbours may be pictures of one thing: with every second image, each half has its twins in the other."""
    apart = 0
    for seed in range(20):
        held = benchkit.Split(reserve(seed).images, torch.arange(40) // 8)  # five classes, in their order
        first, other = halves(held)
        assert first.labels.bincount().tolist() == other.labels.bincount().tolist() == [4] * 5
        assert all(torch.equal(one.images, two.images) for one, two in zip((first, other), halves(held), strict=True))
        here = torch.tensor([any(torch.equal(image, one) for one in first.images) for image in held.images])
        apart += int((here[::2] != here[1::2]).sum())
    assert 0.4 < apart / 400 < 0.75, "drawn, 4 of 7; every second image, all"
