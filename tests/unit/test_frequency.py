"""The DCT against closed forms and scipy, and the spectra against published figures of CIFAR-10."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from PIL import Image
from torch import Tensor

from benchkit.frequency import dct2, idct2, log_power_slope, mean_spectrum

SHAPES = [(2, 3, 32, 32), (5, 1, 8, 20), (1, 3, 33, 7), (200, 3, 32, 32), (32, 32), (2, 3, 1, 224)]


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
    dct2(image).square().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(image.grad, 2 * image.detach(), rtol=1e-4, atol=1e-5)


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


def test_clean_cifar10_has_the_published_spectrum() -> None:
    root = os.environ.get("BENCHKIT_TEST_DATA")
    files = sorted(Path(root, "cifar10-png-6k", "test").rglob("*.png")) if root else []
    if not files:
        pytest.skip("set BENCHKIT_TEST_DATA to a folder that holds cifar10-png-6k")
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    spectrum = mean_spectrum(images)
    measured = [float(spectrum[u, v]) for u, v in ((0, 0), (0, 1), (1, 0), (8, 8), (24, 24), (31, 31))]
    assert measured == pytest.approx([3899, 291, 588, 33.4, 3.30, 1.32], rel=0.005)
    assert log_power_slope(images) == pytest.approx(-2.4, abs=0.1)
