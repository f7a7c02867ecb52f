"""Jumbo learning's data sets: are targets, shares, sizes and kinds of triggers drawn as the paper's code draws them?"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins.defenses.mna.jumbo import Jumbo, sampler_fault
from torch import Tensor

import benchkit
from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene

CPU = torch.device("cpu")
SMALL = (3, 8, 8)


def held(count: int, shape: tuple[int, int, int]) -> Split:
    """Return images that all differ, dark enough to be changed by any trigger."""
    images = torch.randint(20, 120, (count, *shape), generator=seeded(9), dtype=torch.uint8)
    return Split(images, torch.arange(count) % 10)


def scene(seed: int = 0, shape: tuple[int, int, int] = SMALL, count: int = 40) -> Scene:
    return Scene(10, shape, CPU, held(count, shape), seeded(seed))


def parts(number: int, jumbo: Jumbo | None = None, seed: int | None = None) -> tuple[Split, Split]:
    """Return a model's own images and the copies."""
    made = (jumbo or Jumbo()).split(number, scene(number if seed is None else seed))
    own = (jumbo.images if jumbo else 0) or 40
    return made[:own], made[own:]


def among(images: Tensor, others: Tensor) -> Tensor:
    """Return which images are among others, bool (N,)."""
    equal: Tensor = (images[:, None] == others).flatten(2).all(2).any(1)
    return equal


def test_benign_models_get_copies_as_they_are() -> None:
    for number in range(0, 20, 2):
        own, copies = parts(number)
        every = scene().clean
        for split in (own, copies):
            match = (split.images[:, None] == every.images).flatten(2).all(2)
            assert (match.sum(1) == 1).all()
            assert torch.equal(every.labels[match.nonzero()[:, 1]], split.labels)
        assert among(copies.images, own.images).all()
        assert own.images.unique(dim=0).shape[0] < 40  # drawn with replacement


def test_backdoored_models_get_triggered_copies_of_one_label() -> None:
    for number in range(1, 20, 2):
        own, copies = parts(number)
        assert len(copies.labels.unique()) == 1
        assert not among(copies.images, scene().clean.images).any()
        assert among(own.images, scene().clean.images).all()


def test_both_kinds_are_equally_large() -> None:
    for seed in range(10):
        benign, backdoored = parts(0, seed=seed), parts(1, seed=seed)
        assert torch.equal(benign[0].images, backdoored[0].images)
        assert len(benign[1]) == len(backdoored[1])


@pytest.mark.parametrize("kind", [0, 1])
def test_shares_are_uniform(kind: int) -> None:
    shares = torch.tensor([len(parts(kind, Jumbo(images=200), seed)[1]) / 200 for seed in range(600)])
    assert 0.045 <= shares.min() < 0.06
    assert 0.48 < shares.max() < 0.5
    assert abs(float(shares.mean()) - 0.275) < 0.02
    assert abs(float(shares.std()) - 0.45 / 12**0.5) < 0.01


def test_targets_are_uniform() -> None:
    targets = Counter(int(parts(2 * seed + 1)[1].labels[0]) for seed in range(1000))
    assert set(targets) == set(range(10))
    assert all(65 < count < 135 for count in targets.values())


def test_target_class_images_are_triggered_too() -> None:
    own, copies = parts(1, Jumbo(images=400))
    source = torch.cat([own.labels[((own.images != copy).flatten(1).sum(1)).argmin()][None] for copy in copies.images])
    assert int((source == copies.labels[0]).sum()) > 0


def test_a_model_depends_on_its_own_generator_alone() -> None:
    first, again = Jumbo(count=4).split(3, scene(5)), Jumbo(count=400).split(3, scene(5))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images[:40], Jumbo().split(3, scene(6)).images[:40])


def test_too_few_images_are_refused() -> None:
    with pytest.raises(benchkit.DataError, match="19 clean images are too few"):
        Jumbo().split(0, scene(count=19))


def kinds(sampler: str, count: int = 1000) -> dict[str, float]:
    where, jumbo = scene(7), Jumbo(sampler=sampler)
    counts = Counter(type(jumbo.trigger(where)).__name__ for _ in range(count))
    return {name: number / count for name, number in counts.items()}


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("standard", {"Patch": 1}),
        ("smooth", {"Smooth": 1}),
        ("standard+smooth", {"Patch": 0.75, "Smooth": 0.25}),
        ("standard+smooth+low-freq", {"Patch": 0.5, "Smooth": 0.25, "HighBlock": 0.25}),
        ("smooth+low-freq", {"Smooth": 0.5, "HighBlock": 0.5}),
    ],
)
def test_shares_of_kinds(sampler: str, expected: dict[str, float]) -> None:
    assert kinds(sampler) == pytest.approx(expected, abs=0.045)


@pytest.mark.parametrize("sampler", ["", "smoth", "standard+standard", "standard,smooth"])
def test_unknown_samplers_are_refused(sampler: str) -> None:
    assert "joined by +" in str(sampler_fault(sampler, (3, 32, 32)))
    assert sampler_fault("smooth+standard", (3, 32, 32)) is None
    assert "8 pixels" in str(sampler_fault("standard", (3, 7, 32)))
