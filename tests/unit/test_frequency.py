"""The DCT against closed forms and scipy, and the spectra against published figures of CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import scipy.fft
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchkit.ops.frequency import (
    FAST_FROM,
    band_mask,
    channel_spectra,
    dct2,
    gaussian_kernel,
    idct2,
    log_power_slope,
    low_pass,
    mean_spectrum,
)

SHAPES = [
    (2, 3, 32, 32),
    (5, 1, 8, 20),
    (1, 3, 33, 7),
    (200, 3, 32, 32),
    (32, 32),
    (2, 3, 1, 224),
    (4, 3, 47, 47),
    (4, 3, 48, 48),
    (2, 1, 20, 64),
]


def noise(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, shape, generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 24)])
def test_a_constant_image_has_one_coefficient(height: int, width: int) -> None:
    result = dct2(torch.full((1, 3, height, width), 200, dtype=torch.uint8))
    expected = torch.zeros(1, 3, height, width)
    expected[..., 0, 0] = 200 * math.sqrt(height * width)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=2e-3)


def test_a_point_spreads_as_a_cosine() -> None:
    point = torch.zeros(32, 32)
    point[0, 0] = 1
    row = math.sqrt(2) / 32 * torch.cos(math.pi * torch.arange(32) / 64)
    row[0] = 1 / 32
    torch.testing.assert_close(dct2(point)[0], row, rtol=1e-5, atol=1e-7)


def test_the_first_index_is_the_vertical_frequency() -> None:
    wave = torch.cos(math.pi * 5 * (2 * torch.arange(32) + 1) / 64)
    spectrum = dct2(wave[:, None].expand(32, 32)).abs()
    assert divmod(int(spectrum.argmax()), 32) == (5, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_scipys_orthonormal_dct_over_the_last_two_axes(shape: tuple[int, ...]) -> None:
    image = noise(shape)
    expected = scipy.fft.dctn(image.numpy().astype(np.float64), axes=(-2, -1), norm="ortho")
    result = dct2(image)
    assert result.dtype == torch.float32
    assert np.abs(result.numpy() - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_inverse_restores_every_pixel(shape: tuple[int, ...]) -> None:
    image = noise(shape)
    assert torch.equal(idct2(dct2(image)).round().to(torch.uint8), image)


def test_energy_is_preserved() -> None:
    image = noise((4, 3, 32, 32)).float()
    torch.testing.assert_close(dct2(image).square().sum(), image.square().sum(), rtol=1e-5, atol=0)


def test_it_is_differentiable_even_after_use_in_inference_mode() -> None:
    image = torch.rand(2, 3, 11, 13, requires_grad=True)
    with torch.inference_mode():
        dct2(image)
    dct2(image).square().sum().backward()
    torch.testing.assert_close(image.grad, 2 * image.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [FAST_FROM - 1, FAST_FROM])
def test_the_gradient_is_that_of_an_orthogonal_transform(side: int) -> None:
    pixels, weights = noise((2, 3, side, side)).float(), noise((2, 3, side, side), seed=1).float()
    for transform, inverse in ((dct2, idct2), (idct2, dct2)):
        x = pixels.clone().requires_grad_()
        transform(x).mul(weights).sum().backward()
        assert x.grad is not None
        torch.testing.assert_close(x.grad, inverse(weights), rtol=1e-5, atol=1e-3)
        (twice,) = torch.autograd.grad((transform(x) * x).sum(), x, create_graph=True)
        assert twice.requires_grad


@pytest.mark.parametrize("side", [FAST_FROM - 1, FAST_FROM])
def test_what_is_transformed_stays_as_it_was(side: int) -> None:
    for given in (noise((2, 3, side, side)), noise((2, 3, side, side)).float(), noise((2, 3, side, side)).double()):
        kept = given.clone()
        dct2(given)
        assert given.equal(kept)


def test_strided_and_empty_inputs() -> None:
    image = noise((6, 3, 16, 12))
    assert torch.equal(dct2(image.to(memory_format=torch.channels_last)), dct2(image))
    assert dct2(image[:0]).shape == (0, 3, 16, 12)


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_log_power_slope_of_a_power_law(alpha: float) -> None:
    rng = torch.Generator().manual_seed(1)
    u = torch.arange(32.0)
    f = torch.hypot(u[:, None], u).clamp(min=1)
    values = idct2(torch.randn(300, 1, 32, 32, generator=rng) * f ** (-alpha / 2))
    assert log_power_slope(values) == pytest.approx(-alpha, abs=0.05)


def test_log_power_slope_of_noise_is_zero_and_oblong_images_work() -> None:
    assert log_power_slope(noise((200, 1, 24, 40))) == pytest.approx(0, abs=0.05)


def test_mean_spectrum_averages_magnitudes_not_signed_values() -> None:
    pair = torch.stack([torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)])
    pair[0, 0, :, :4], pair[1, 0, :, 4:] = 100, 100
    spectrum = mean_spectrum(pair.to(torch.uint8))
    assert spectrum.shape == (8, 8)
    torch.testing.assert_close(spectrum, dct2(pair[0, 0]).abs(), rtol=1e-5, atol=1e-3)


def test_the_signed_mean_spectrum_is_that_of_the_mean_image() -> None:
    images = noise((40, 3, 8, 12))
    expected = dct2(images).mean((0, 1)).abs()
    torch.testing.assert_close(mean_spectrum(images, signed=True), expected, rtol=1e-4, atol=1e-3)
    assert float(mean_spectrum(images)[4, 4]) > 3 * float(expected[4, 4])


def test_channel_spectra_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise((25, 3, 8, 8))
    expected = dct2(images).abs().mean(0)
    monkeypatch.setattr("benchkit.ops.frequency.DEVICE_CHUNK", 7 * 3 * 64)
    torch.testing.assert_close(channel_spectra(images), expected)
    torch.testing.assert_close(mean_spectrum(images), expected.mean(0))


@pytest.mark.parametrize(("band", "corner"), [("low", (slice(3), slice(3))), ("high", (slice(5, 8), slice(9, 12)))])
def test_band_mask_is_a_corner_block(band: Literal["low", "high"], corner: tuple[slice, slice]) -> None:
    mask = band_mask(8, 12, 3, band)
    assert mask.shape == (8, 12)
    assert mask.dtype == torch.bool
    assert int(mask.sum()) == 9
    assert mask[corner].all()
    assert not band_mask(8, 12, 0, band).any()
    assert band_mask(8, 12, 99, band).all()


def test_the_gaussian_has_the_published_taps() -> None:
    taps = gaussian_kernel()
    assert taps.shape == (30,)
    assert taps.dtype == torch.float32
    assert taps[[0, 1, 5, 10, 14]].tolist() == pytest.approx(
        [0.003630, 0.005356, 0.019221, 0.050816, 0.067086], abs=1e-6
    )
    torch.testing.assert_close(taps, taps.flip(0))
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6)
    assert len(gaussian_kernel(12.0)) == 60


def test_the_low_pass_filter_has_the_published_gains() -> None:
    at = torch.arange(1024) - 500.0
    gains = []
    for f in (0, 1, 2, 3, 4, 6, 8):
        moved, wave = (torch.cos(math.pi * f / 32 * (at + shift)) for shift in (-0.5, 0.0))
        middle = low_pass(moved.expand(64, 1024), 6.0)[32]
        whole = slice(500 - 320, 500 + 320)
        gains.append(float((middle * wave)[whole].sum() / wave.square()[whole].sum()))
    assert gains == pytest.approx([1, 0.852, 0.517, 0.210, 0.053, 0.010, -0.007], abs=1e-3)


def test_repeated_blur_converges_to_the_published_dome() -> None:
    dome = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(60):
        blurred = low_pass(dome)
        eigenvalue = float(blurred.max() / dome.max())
        dome = blurred / blurred.max()
    line = dome[:, 13]
    assert eigenvalue == pytest.approx(0.893**2, abs=1e-3)
    assert divmod(int(dome.argmax()), 32) == (13, 13)
    published = [0.446, 0.700, 0.898, 0.994, 0.999, 0.976, 0.858, 0.667, 0.442, 0.282]
    assert line[[0, 4, 8, 12, 14, 16, 20, 24, 28, 31]].tolist() == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 32), (33, 48), (3, 224)])
def test_low_pass_is_the_padded_convolution_on_each_axis(height: int, width: int) -> None:
    x = torch.rand(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    down, across = (gaussian_kernel(6 * size / 32) for size in (height, width))
    edges = [(len(taps) - 1) // 2 + extra for taps in (across, down) for extra in (0, (len(taps) - 1) % 2)]
    kernel = torch.outer(down, across).double()[None, None]
    expected = F.conv2d(F.pad(x.flatten(0, 1)[:, None], edges), kernel).view_as(x)
    result = low_pass(x)
    assert result.dtype == torch.float64
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(low_pass(x.float()), expected.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(low_pass(x[0, 0]), expected[0, 0], rtol=1e-6, atol=1e-7)


def test_low_pass_pads_14_before_and_15_after() -> None:
    point = torch.zeros(40, 40)
    point[20, 20] = 1
    reached = low_pass(point, 6.0)[20].nonzero().flatten()
    assert (int(reached[0]), int(reached[-1])) == (20 - 15, 20 + 14)


def test_low_pass_is_differentiable_even_after_use_in_inference_mode() -> None:
    x = torch.rand(1, 3, 17, 17, requires_grad=True, dtype=torch.float64)
    with torch.inference_mode():
        low_pass(x)
    assert torch.autograd.gradcheck(low_pass, (x,))


def test_low_pass_keeps_half_precision() -> None:
    x = torch.rand(1, 3, 16, 16)
    assert low_pass(x.half()).dtype == torch.float16
    torch.testing.assert_close(low_pass(x.half()).float(), low_pass(x), rtol=2e-3, atol=1e-3)


def test_clean_cifar10_has_the_published_spectrum(real_set: Callable[[str], Path]) -> None:
    files = sorted((real_set("cifar10-png-6k") / "test").rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    spectrum = mean_spectrum(images)
    measured = [float(spectrum[u, v]) for u, v in ((0, 0), (0, 1), (1, 0), (8, 8), (24, 24), (31, 31))]
    assert measured == pytest.approx([3899, 291, 588, 33.4, 3.30, 1.32], rel=0.005)
    assert log_power_slope(images) == pytest.approx(-2.4, abs=0.1)
