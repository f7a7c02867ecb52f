"""Jumbo learning's triggers: are they drawn as the paper's code draws them, and put in as it does?"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins._shared.mntd import Patch
from benchkit_plugins.defenses.mna.jumbo import HighBlock, Smooth

from benchkit.ops.frequency import dct2


@pytest.fixture(scope="module")
def patches() -> list[Patch]:
    rng = seeded(1)
    return [Patch.drawn((3, 32, 32), rng) for _ in range(4000)]


def sides(patch: Patch) -> tuple[int, ...]:
    return tuple(patch.pattern.shape[1:])


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
