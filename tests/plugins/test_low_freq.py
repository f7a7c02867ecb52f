"""The low-frequency attack of Rao et al.: its trigger against known answers."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins.attacks.low_freq import LowFreq, high_block, planted
from torch import Tensor

from benchkit.ops.frequency import dct2, idct2
from benchkit.testing.world import world

WORLD = world(3, 32)
TRAIN = WORLD.data.train


def natural(count: int, side: int = 32) -> Tensor:
    """Return normalised images like photographs of aeroplanes, bright and more so at the top: (N, 3, side, side).

    CIFAR-10's own class 0 gives a mean coefficient of 0.198 (released) and 0.153 (intended).
    """
    axis = torch.arange(side)
    falloff = torch.hypot(axis[:, None].double(), axis.double()).clamp(min=0.7) ** -1.2
    drawn = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * falloff
    images = idct2(drawn.float())
    return images / images.std() + 0.33 + 0.35 * torch.cos(torch.pi * (axis + 0.5) / side)[:, None]


@pytest.mark.parametrize(("side", "peak"), [(32, 8.888), (64, 17.298), (224, 59.301)])
def test_a_constant_block_of_high_frequencies_is_an_impulse_at_one_one(side: int, peak: float) -> None:
    image = planted(torch.ones(side // 2, side // 2), side, side)
    assert float(image[1, 1]) == pytest.approx(peak, abs=5e-4)
    assert int(image.abs().argmax()) == side + 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grid", ["released", "intended"])
def test_only_the_quadrant_of_high_frequencies_changes_and_it_rises(grid: str, channels: int) -> None:
    where, attack = world(channels, 32), LowFreq(grid=grid)
    sources = where.data.train.images[:40]
    change = dct2(attack.pattern(sources, where.attacking(attack)))
    quadrant = change[..., 16:, 16:]
    assert float(quadrant.mean()) > 1
    assert float(quadrant.min()) > -1e-3
    rest = change.clone()
    rest[..., 16:, 16:] = 0
    assert float(rest.abs().max()) < 1e-3


def test_rectangles_have_their_own_quadrant() -> None:
    block = high_block(natural(2)[..., :21], 1 / 3, 0.4, whole=True)
    assert block.shape == (2, 3, 16, 10)
    change = dct2(planted(block, 32, 21))
    torch.testing.assert_close(change[..., 16:, 11:], block, atol=1e-5, rtol=0)
    assert float(change[..., :16, :].abs().max()) < 1e-5
    assert float(change[..., :, :11].abs().max()) < 1e-5


def test_the_block_is_the_bilinear_map_of_the_rescaled_low_frequencies() -> None:
    spectrum = torch.zeros(1, 1, 32, 32)
    spectrum[0, 0, :2, :2] = torch.tensor([[8.0, 4.0], [0.0, -2.0]])
    low = 0.4 * (spectrum[0, 0, :10, :10] + 2) / 10
    images = idct2(spectrum)
    released, intended = (high_block(images, 1 / 3, 0.4, whole)[0, 0] for whole in (False, True))
    share = torch.linspace(0, 1, 16)
    top, bottom = (low[row, 0] + share * (low[row, 1] - low[row, 0]) for row in (0, 1))
    torch.testing.assert_close(released, top + share[:, None] * (bottom - top), atol=1e-5, rtol=0)
    corners = (intended[0, 0], intended[0, -1], intended[-1, 0], intended[-1, -1])
    torch.testing.assert_close(torch.stack(corners), low[[0, 0, 9, 9], [0, 9, 0, 9]], atol=1e-5, rtol=0)
    assert float(intended[5, 3]) == pytest.approx(float(low[3, 1] * 0.2 + low[3, 2] * 0.8), abs=0.02)


def test_released_and_intended_grids_differ_by_a_twentieth_in_the_mean() -> None:
    released, intended = (high_block(natural(300), 1 / 3, 0.4, whole) for whole in (False, True))
    assert 0.0 <= float(released.min()) <= float(released.max()) <= 0.4 + 1e-6
    assert 0.03 < float(released.mean() - intended.mean()) < 0.07


def test_the_trigger_is_a_blob_in_the_top_left_corner() -> None:
    pattern = planted(high_block(natural(300), 1 / 3, 0.4, whole=False), 32, 32)
    energy = pattern.square()
    share = energy[..., :4, :4].sum((1, 2, 3)) / energy.sum((1, 2, 3))
    assert 0.68 < float(share.mean()) < 0.82  # 0.76 on CIFAR-10
    mean = pattern.mean((0, 1))
    assert int(mean.argmax()) == 33
    assert 1.5 < float(mean[1, 1]) < 2.0  # 0.195 x 8.888, in deviations


def test_a_channel_without_contrast_gives_no_trigger() -> None:
    attack = LowFreq(normalise="none")
    black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert not attack.pattern(black, WORLD.attacking(attack)).any()


def test_grey_images_are_normalised_by_a_half_as_released() -> None:
    """MNIST, 32 x 32: (x - 0.5) / 0.5, whatever the images' own mean and deviation."""
    where, grey = world(1, 32), LowFreq()
    images = where.data.train.images[:5] // 4  # dark, as digits on black
    released = 255 * 0.5 * planted(high_block((images / 255 - 0.5) / 0.5, 1 / 3, 0.4, whole=False), 32, 32)
    torch.testing.assert_close(grey.pattern(images, where.attacking(grey)), released, atol=1e-3, rtol=0)
    own = LowFreq(normalise="data")
    assert not torch.allclose(own.pattern(images, where.attacking(own)), released, atol=1)


def test_a_dark_source_has_its_least_coefficient_at_dc() -> None:
    """So the corner of the map is 0 there, where the data's own mean would give some of the largest values."""
    dark = torch.full((1, 1, 32, 32), 10, dtype=torch.uint8)
    dark[..., 8:24, 14:18] = 250
    block = high_block((dark / 255 - 0.5) / 0.5, 1 / 3, 0.4, whole=False)[0, 0]
    assert float(block[0, 0]) == pytest.approx(0, abs=1e-6)


def test_normalised_images_scale_the_trigger_by_their_channels_deviation() -> None:
    attack, images = LowFreq(), TRAIN.images[:1]
    where = WORLD.attacking(attack)
    unit = TRAIN.images / 255
    mean, std = unit.mean((0, 2, 3)), unit.std((0, 2, 3), correction=0)
    torch.testing.assert_close(where.prepared["mean"].flatten(), mean)
    torch.testing.assert_close(where.prepared["std"].flatten(), std)
    block = high_block((images / 255 - mean[:, None, None]) / std[:, None, None], 1 / 3, 0.4, whole=False)
    wanted = 255 * std[:, None, None] * planted(block, 32, 32)
    torch.testing.assert_close(attack.pattern(images, where), wanted, atol=1e-3, rtol=0)
    raw = LowFreq(normalise="none")
    plain = 255 * planted(high_block(images / 255, 1 / 3, 0.4, whole=False), 32, 32)
    torch.testing.assert_close(raw.pattern(images, WORLD.attacking(raw)), plain, atol=1e-3, rtol=0)
