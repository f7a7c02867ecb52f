"""The two halves of a defender's clean images."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins._shared.halves import drawn_halves

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


def test_the_second_half_is_to_the_first_what_new_images_are() -> None:
    """Its scores set a threshold for them: of its images as many as of new ones have one of their class in the first.

    With half of each class 97 % had, and of new images 90.
    """
    classes, found = torch.arange(300) // 6, []
    for seed in range(200):
        rows = torch.randperm(300, generator=torch.Generator().manual_seed(seed)).sort()
        drawn = rows.indices[:150].sort().values
        new = torch.ones(300, dtype=torch.bool).index_fill(0, drawn, value=False)
        first, other = drawn_halves(benchkit.Split(reserve(seed, 150).images, classes[drawn]))
        known = torch.isin(torch.arange(50), first.labels)
        found.append([float(known[other.labels].double().mean()), float(known[classes[new]].double().mean())])
    ours, theirs = torch.tensor(found).mean(0).tolist()
    assert ours == pytest.approx(theirs, abs=0.01)
    assert 0.7 < theirs < 0.8
