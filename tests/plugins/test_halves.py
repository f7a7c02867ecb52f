"""The two halves of a defender's clean images."""

from __future__ import annotations

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
