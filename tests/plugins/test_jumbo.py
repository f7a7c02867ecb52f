"""Jumbo learning's data sets: are triggers, targets, shares and sizes drawn as the paper's code draws them?"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from benchkit_plugins.defenses._jumbo import HighBlock, Jumbo, Patch, Smooth, sampler_fault
from torch import Tensor

import benchkit
from benchkit.frequency import dct2
from benchkit.scene import Scene, Split

CPU = torch.device("cpu")
SMALL = (3, 8, 8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def held(count: int, shape: tuple[int, int, int]) -> Split:
    """Return images that all differ, dark enough to be changed by any trigger."""
    images = torch.randint(20, 120, (count, *shape), generator=seeded(9), dtype=torch.uint8)
    return Split(images, torch.arange(count) % 10)


def scene(seed: int = 0, shape: tuple[int, int, int] = SMALL, count: int = 40) -> Scene:
    return Scene(10, shape, CPU, held(count, shape), seeded(seed))


@pytest.fixture(scope="module")
def patches() -> list[Patch]:
    rng = seeded(1)
    return [Patch.drawn((3, 32, 32), rng) for _ in range(4000)]


def sides(patch: Patch) -> tuple[int, ...]:
    return tuple(patch.pattern.shape[1:])


# --- patches -----------------------------------------------------------------------------------------------


def test_patches_come_in_five_sizes(patches: list[Patch]) -> None:
    counts = Counter(sides(patch) for patch in patches)
    assert set(counts) == {(2, 2), (3, 3), (4, 4), (5, 5), (32, 32)}
    assert all(abs(count / 4000 - 0.2) < 0.03 for count in counts.values())


def test_a_quarter_of_small_patches_replaces_pixels(patches: list[Patch]) -> None:
    alphas = torch.tensor([patch.alpha for patch in patches if sides(patch) != (32, 32)], dtype=torch.float64)
    assert abs(float((alphas == 1).double().mean()) - 0.25) < 0.03
    rest = alphas[alphas < 1]
    assert 0.2 <= rest.min() < 0.205
    assert 0.495 < rest.max() <= 0.5


def test_small_patches_lie_anywhere_but_at_the_far_borders(patches: list[Patch]) -> None:
    for side in (2, 5):
        places = [(patch.top, patch.left) for patch in patches if sides(patch) == (side, side)]
        for axis in zip(*places, strict=True):
            assert (min(axis), max(axis)) == (0, 31 - side)
    assert len({(patch.top, patch.left) for patch in patches}) > 600


def test_whole_images_are_blended_weakly(patches: list[Patch]) -> None:
    whole = [patch for patch in patches if sides(patch) == (32, 32)]
    assert {(patch.top, patch.left) for patch in whole} == {(0, 0)}
    alphas = [patch.alpha for patch in whole]
    assert 0.05 <= min(alphas) < 0.055
    assert 0.195 < max(alphas) <= 0.2


def test_patterns_saturate_by_their_own_share(patches: list[Patch]) -> None:
    """U(-e, 1 + e) is beyond 1 with probability e / (1 + 2 e): 0 to a third, 0.15 on average."""
    whole = torch.stack([patch.pattern for patch in patches if sides(patch) == (32, 32)])
    bright = (whole == 1).double().mean((1, 2, 3))
    dark = (whole == 0).double().mean((1, 2, 3))
    assert bright.max() < 0.37
    assert bright.min() < 0.02
    assert abs(float(bright.mean()) - (0.5 - torch.log(torch.tensor(3.0)) / 4)) < 0.01
    assert (bright - dark).abs().max() < 0.06


def test_patch_mixes_and_rounds_inside_its_rectangle_only() -> None:
    images = torch.full((2, 3, 6, 6), 101, dtype=torch.uint8)
    stamped = Patch(1, 2, 0.25, torch.ones(3, 2, 3))(images)
    assert (images == 101).all()
    assert (stamped[..., 1:3, 2:5] == 140).all()  # 0.75 * 101 + 0.25 * 255 = 139.5
    assert int((stamped != 101).sum()) == 2 * 3 * 6
    assert set(Patch(0, 0, 1.0, torch.zeros(3, 6, 6))(images).unique().tolist()) == {0}


def test_grey_images_get_binary_patterns() -> None:
    rng = seeded(2)
    drawn = [Patch.drawn((1, 28, 28), rng).pattern for _ in range(600)]
    assert all(set(pattern.unique().tolist()) == {0.0, 1.0} for pattern in drawn)
    whites = Counter(int(pattern.sum()) for pattern in drawn if pattern.shape[1] == 2)
    assert set(whites) == {1, 2, 3}


def test_only_patches_that_fit_are_drawn() -> None:
    rng = seeded(3)
    assert {sides(Patch.drawn((3, 5, 7), rng)) for _ in range(200)} == {(2, 2), (3, 3), (4, 4), (5, 7)}


# --- data sets ---------------------------------------------------------------------------------------------


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


# --- further kinds -----------------------------------------------------------------------------------------


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


def test_smooth_triggers_are_smooth_and_span_their_amplitude() -> None:
    rng = seeded(4)
    patterns = torch.stack([Smooth.drawn((3, 32, 32), rng).pattern for _ in range(150)])
    most = patterns.amax((1, 2, 3))
    assert patterns.amin((1, 2, 3)).abs().max() < 1e-6
    assert 0.1 <= most.min() < 0.11
    assert 0.29 < most.max() <= 0.3
    energy = dct2(patterns).double().square()
    assert (energy[..., 16:, 16:].sum((1, 2, 3)) / energy.sum((1, 2, 3))).max() < 1e-3


def test_smooth_insertion_stretches_each_image() -> None:
    images = torch.full((2, 3, 4, 4), 51, dtype=torch.uint8)
    images[1, :, 0, 0] = 102
    pattern = torch.zeros(3, 4, 4)
    pattern[:, 3, 3] = 0.1
    stamped = Smooth(pattern)(images)
    assert set(stamped[0].unique().tolist()) == {0, 255}
    assert stamped[1, 0, 0, 0] == 255
    assert stamped[1, 0, 3, 3] == 128  # 0.1 of 0.2, of 255, is 127.5


def test_high_blocks_keep_to_the_highest_frequencies() -> None:
    rng = seeded(5)
    deviation = torch.tensor([10.0, 20.0, 40.0]).view(3, 1, 1)
    patterns = torch.stack([HighBlock.drawn((3, 32, 32), deviation, rng).pattern for _ in range(300)])
    spectra = dct2(patterns) / deviation
    inside = spectra[..., 16:, 16:]
    assert inside.min() > -1e-5
    assert 0.5 < inside.max() <= 0.6 + 1e-5
    spectra[..., 16:, 16:] = 0
    assert spectra.abs().max() < 1e-5
    peaks = patterns.abs().mean((0, 1)).flatten().argmax()
    assert int(peaks) in {0, 1, 32, 33}
    images = torch.tensor([[250]], dtype=torch.uint8).expand(1, 3, 32, 32)
    assert HighBlock(torch.full((3, 32, 32), 9.4))(images).unique().tolist() == [255]
    assert HighBlock(torch.full((3, 32, 32), -9.4))(images).unique().tolist() == [241]


@pytest.mark.parametrize("sampler", ["", "smoth", "standard+standard", "standard,smooth"])
def test_unknown_samplers_are_refused(sampler: str) -> None:
    assert "joined by +" in str(sampler_fault(sampler, (3, 32, 32)))
    assert sampler_fault("smooth+standard", (3, 32, 32)) is None
    assert "8 pixels" in str(sampler_fault("standard", (3, 7, 32)))
