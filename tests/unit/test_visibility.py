"""How visible a trigger is: known values."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from skimage.metrics import structural_similarity

from benchkit.measure.visibility import COMPARED, visibility


def noise(count: int, side: int = 32, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 200, (count, 3, side, side), generator=rng, dtype=torch.uint8)


def test_a_shift_of_every_pixel_has_known_distances() -> None:
    images = noise(50)
    found = visibility(images, images + 51)
    assert found["linf"] == pytest.approx(0.2)
    assert found["l2"] == pytest.approx(0.2 * math.sqrt(3 * 32 * 32))
    assert found["psnr"] == pytest.approx(-20 * math.log10(0.2))


def test_an_unchanged_image_halves_the_means_and_leaves_psnr_finite() -> None:
    images = noise(2)
    found = visibility(images, torch.cat([images[:1], images[1:] + 51]))
    assert found["linf"] == pytest.approx(0.1)
    assert found["psnr"] == pytest.approx(-10 * math.log10(0.2**2 / 2))


def test_ssim_of_constants_is_its_luminance_term() -> None:
    """Wang et al. 2004, eq. 13: without contrast (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2."""
    dark, light = torch.full((4, 1, 16, 16), 100, dtype=torch.uint8), torch.full((4, 1, 16, 16), 150, dtype=torch.uint8)
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert visibility(dark, light)["ssim"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 11, 11), (3, 32, 32), (3, 24, 61)])
def test_ssim_is_that_of_scikit_image(channels: int, height: int, width: int) -> None:
    """The mean of its whole map, with the settings of Wang et al."""
    rng = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (9, channels, height, width), generator=rng, dtype=torch.uint8)
    changed = (images.double() + 30 * torch.randn(images.shape, generator=rng).double()).clamp(0, 255).byte()
    compare: Any = structural_similarity  # it has no types
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    each = [
        compare(one.numpy(), other.numpy(), channel_axis=0, **how)[1].mean()
        for one, other in zip(images, changed, strict=True)
    ]
    assert visibility(images, changed)["ssim"] == pytest.approx(sum(each) / len(each), rel=1e-12)


def test_ssim_sees_a_patch_in_the_corner() -> None:
    images = noise(20)
    patched = images.clone()
    patched[..., -4:, -4:] = 255
    ssim = visibility(images, patched)["ssim"]
    assert 0.9 < ssim < 0.99  # without the border, where the patch sits, it would be above 0.999


def test_ssim_is_averaged_over_a_spread_of_many_images() -> None:
    images = noise(2 * COMPARED, side=12)
    late = images.clone()
    late[COMPARED:] = 255 - late[COMPARED:]
    half, all_of_it = visibility(images, late)["ssim"], visibility(images[COMPARED:], late[COMPARED:])["ssim"]
    assert half == pytest.approx((1 + all_of_it) / 2, abs=0.02)


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    small = noise(3, side=8)
    assert set(visibility(small, small + 1)) == {"psnr", "linf", "l2"}
