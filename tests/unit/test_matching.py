"""Images are found again by their pixels, in any order, and equal ones one by one."""

from __future__ import annotations

import torch

from benchkit.ops.matching import content_keys, numbered, places_of


def images(count: int = 50, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_images_are_found_wherever_they_are() -> None:
    known = images()
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert places_of(content_keys(known[order]), content_keys(known)).equal(order)
    assert places_of(content_keys(images(seed=2)), content_keys(known)).eq(-1).all()


def test_one_changed_value_is_another_image() -> None:
    known = images(1)
    others = known.repeat(192 * 3, 1, 1, 1)
    for step, change in enumerate((1, 128, 255)):
        others.view(3, 192, 192)[step].diagonal().add_(change)
    assert len(torch.cat([content_keys(others), content_keys(known)]).unique()) == 192 * 3 + 1


def test_places_count() -> None:
    one = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    shifted = [one.clone() for _ in range(192)]
    for at, image in enumerate(shifted):
        image.view(-1)[at] = 7
    assert len(content_keys(torch.cat(shifted)).unique()) == 192
    assert len(content_keys(one.transpose(2, 3))) == 1


def test_equal_images_are_matched_one_by_one() -> None:
    twice = images(3)[torch.tensor([0, 1, 0, 2, 0])]
    wanted = images(3)[torch.tensor([0, 0, 2, 0, 0])]
    keys, known = numbered(content_keys(wanted)), numbered(content_keys(twice))
    assert places_of(keys, known).tolist() == [0, 2, 3, 4, -1]
    assert numbered(content_keys(twice)[:0]).tolist() == []
    assert places_of(keys, known[:0]).tolist() == [-1] * 5


def test_keys_are_the_same_in_parts_and_everywhere() -> None:
    known = images(9000 // 100)
    assert torch.cat([content_keys(known[:7]), content_keys(known[7:])]).equal(content_keys(known))
    fixed = torch.arange(192, dtype=torch.uint8).view(1, 3, 8, 8)
    assert content_keys(fixed).tolist() == [EXPECTED], "stored bundles hold these numbers"


EXPECTED = 3584914371854559458
