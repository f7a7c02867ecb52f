"""The five manipulations that the frequency detector learns from: shares, ranges and rounding."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins.defenses.freq_detector import manipulations
from PIL import Image
from torch import Tensor


def flat(level: int, count: int, side: int = 32, channels: int = 3) -> Tensor:
    return torch.full((count, channels, side, side), level, dtype=torch.uint8)


def noise(count: int, side: int = 32, channels: int = 3) -> Tensor:
    return torch.randint(256, (count, channels, side, side), generator=seeded(9), dtype=torch.uint8)


class TestBlocks:
    def boxes(self, changed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return first and last changed row and column of each image."""
        rows, columns = changed.any(2).int(), changed.any(1).int()
        side = changed.shape[-1]
        ends = [(axis.argmax(1), side - 1 - axis.flip(1).argmax(1)) for axis in (rows, columns)]
        return *ends[0], *ends[1]

    def test_sides_margins_and_corners(self) -> None:
        changed = (manipulations.white_block(flat(7, 6000), seeded()) == 255).all(1)
        top, bottom, left, right = self.boxes(changed)
        tall, wide = bottom - top + 1, right - left + 1
        assert torch.equal(changed.flatten(1).sum(1), tall * wide)
        for length in (tall, wide):
            assert set(length.tolist()) == {2, 3, 4, 5, 6, 7}
            assert length.bincount()[2:].min() > 850
        assert 0.1 < float((tall == wide).float().mean()) < 0.23
        vertical, horizontal = torch.minimum(top, 31 - bottom), torch.minimum(left, 31 - right)
        assert torch.equal(vertical, horizontal)
        assert vertical.bincount().min() > 850
        assert len(vertical.bincount()) == 6
        corners = 2 * (top > 15) + (left > 15)
        assert corners.bincount().min() > 1350

    @pytest.mark.parametrize(("side", "sides", "margins"), [(224, (14, 55), (0, 41)), (16, (1, 3), (0, 2))])
    def test_they_scale_with_the_image(self, side: int, sides: tuple[int, int], margins: tuple[int, int]) -> None:
        changed = manipulations.white_block(flat(7, 600, side, 1), seeded())[:, 0] == 255
        top, bottom, _, _ = self.boxes(changed)
        tall, margin = bottom - top + 1, torch.minimum(top, side - 1 - bottom)
        assert (int(tall.min()), int(tall.max())) == sides
        assert (int(margin.min()), int(margin.max())) == margins

    def test_noise_is_drawn_per_pixel_and_channel(self) -> None:
        result = manipulations.noise_block(flat(255, 4000), seeded())
        values = result[result != 255]
        assert int(values.max()) == 254
        assert float(values.float().mean()) == pytest.approx(127, abs=1)
        filled = (result != 255).all(1)
        pixels = result.permute(0, 2, 3, 1)[filled].float().T
        assert torch.corrcoef(pixels).sub(torch.eye(3)).abs().max() < 0.03


def test_gaussian_noise_brightens_by_25_with_the_published_spread() -> None:
    shift = manipulations.gaussian_noise(flat(100, 2000), seeded()).float() - 100
    assert float(shift.mean()) == pytest.approx(25 - 0.5, abs=0.05)
    spread = shift.flatten(1).std(1)
    assert float(spread.min()) == pytest.approx(10**0.5, abs=0.25)
    assert float(spread.max()) == pytest.approx(70**0.5, abs=0.4)
    assert float(spread.square().mean()) == pytest.approx(40, abs=1.5)
    dark = manipulations.gaussian_noise(flat(100, 200), seeded(), mean=0).float() - 100
    assert float(dark.mean()) == pytest.approx(-0.5, abs=0.1)
    assert int(manipulations.gaussian_noise(flat(250, 50), seeded()).min()) > 230


class TestBlend:
    def test_adds_three_tenths_of_another_image_and_truncates(self) -> None:
        result = manipulations.blend(flat(100, 50), flat(99, 5), seeded())
        assert set(result.unique().tolist()) == {129}

    def test_clips_at_white_and_draws_partners_from_the_whole_pool(self) -> None:
        pool = torch.cat([flat(level, 1) for level in (0, 50, 255)])
        result = manipulations.blend(flat(200, 3000), pool, seeded())
        levels, counts = result[:, 0, 0, 0].unique(return_counts=True)
        assert levels.tolist() == [200, 215, 255]
        assert counts.min() > 900


class TestShadow:
    def test_halves_lightness_in_the_lower_half_only(self) -> None:
        result = manipulations.shadow(flat(101, 2000), seeded())
        assert set(result.unique().tolist()) == {50, 101}
        dark = (result == 50).all(1)
        assert torch.equal(dark, (result == 50).any(1))
        assert not dark[:, :16].any()
        assert dark[:, 31].any()
        assert 0.05 < float(dark[:, 16:].float().mean()) < 0.5
        assert float(dark.flatten(1).any(1).float().mean()) > 0.95

    def test_a_grey_image_is_halved_without_other_changes(self) -> None:
        images = noise(300, channels=1)
        result = manipulations.shadow(images, seeded())
        untouched, halved = result == images, result == images // 2
        assert bool((untouched | halved).all())
        assert 0.02 < float((~untouched).float().mean()) < 0.25

    def test_colours_pass_through_eight_bit_hls(self) -> None:
        images = noise(8)
        top = manipulations.shadow(images, seeded())[:, :, :16]
        through = manipulations.hls_to_rgb(*manipulations.rgb_to_hls(images))
        assert torch.equal(top, through[:, :, :16])

    def test_hls_is_that_of_the_standard_library_rounded_to_eight_bits(self) -> None:
        pixels = noise(1, side=32).permute(0, 2, 3, 1).reshape(-1, 3)
        found = torch.stack(manipulations.rgb_to_hls(pixels[:, :, None, None]), -1).reshape(-1, 3)
        exact = [colorsys.rgb_to_hls(*(value / 255 for value in pixel)) for pixel in pixels.tolist()]
        error = (found - torch.tensor(exact) * torch.tensor([180.0, 255.0, 255.0])).abs()
        assert float(error.max()) <= 0.501

    @pytest.mark.parametrize("pixel", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 255), (255, 0, 255)])
    def test_pure_colours_survive_the_round_trip_to_one_level(self, pixel: tuple[int, int, int]) -> None:
        image = torch.tensor(pixel, dtype=torch.uint8).view(1, 3, 1, 1)
        again = manipulations.hls_to_rgb(*manipulations.rgb_to_hls(image))
        assert int((again.int() - image.int()).abs().max()) <= 1

    def test_the_round_trip_changes_natural_images_as_published(self, real_set: Callable[[str], Path]) -> None:
        files = sorted((real_set("cifar10-png-6k") / "test").rglob("*.png"))[::4]
        pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        change = manipulations.hls_to_rgb(*manipulations.rgb_to_hls(images)).int() - images.int()
        assert float((change != 0).float().mean()) == pytest.approx(0.27, abs=0.02)
        assert float(change.abs().float().mean()) == pytest.approx(0.28, abs=0.02)
        assert int(change.abs().max()) == 5


class TestPerturb:
    def test_each_manipulation_takes_a_fifth(self) -> None:
        # On flat images each leaves its mark: 255s, 50s, 130 everywhere, a mean of 124.5, noise.
        images = flat(100, 5000, channels=1)
        result = manipulations.perturb(images, seeded())
        white = ((result == 255) | (result == 100)).flatten(1).all(1)
        shaded = ((result == 50) | (result == 100)).flatten(1).all(1)
        blended = (result == 130).flatten(1).all(1) | (result == 129).flatten(1).all(1)
        shifted = result.float().mean((1, 2, 3)).sub(124.5).abs() < 2
        counts = [int(kind.sum()) for kind in (white, shaded, blended, shifted & ~blended)]
        assert all(880 < count < 1120 for count in counts), counts
        assert 880 < 5000 - sum(counts) < 1120

    @pytest.mark.parametrize(
        ("kinds", "expected"),
        [
            (("white",), {100, 255}),
            (("shadow",), {50, 100}),
            (("blend",), {130}),
            (("white", "shadow"), {50, 100, 255}),
        ],
    )
    def test_some_of_them_alone(self, kinds: tuple[str, ...], expected: set[int]) -> None:
        result = manipulations.perturb(flat(100, 400, channels=1), seeded(), kinds=kinds)
        assert set(result.unique().tolist()) == expected
        assert bool((result != 100).flatten(1).any(1).float().mean() > 0.95)

    def test_a_choice_of_two_is_an_even_one(self) -> None:
        result = manipulations.perturb(flat(100, 2000, channels=1), seeded(), kinds=("blend", "white"))
        assert 900 < int((result == 130).flatten(1).all(1).sum()) < 1100

    def test_naming_all_of_them_draws_what_naming_none_does(self) -> None:
        images = noise(60)
        named = manipulations.perturb(images, seeded(1), kinds=("white", "noise", "gaussian", "shadow", "blend"))
        assert torch.equal(named, manipulations.perturb(images, seeded(1)))

    def test_it_is_reproducible_leaves_its_input_alone_and_takes_single_images(self) -> None:
        images = noise(40)
        before = images.clone()
        first, second = (manipulations.perturb(images, seeded(3)) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(images, before)
        assert not torch.equal(first, manipulations.perturb(images, seeded(4)))
        assert manipulations.perturb(images[:1], seeded()).shape == (1, 3, 32, 32)

    def test_batches_share_one_pool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(manipulations, "BATCH_VALUES", 2 * 3 * 32 * 32)
        images = torch.cat([flat(level, 2) for level in range(0, 200, 2)])
        result = manipulations.perturb(images, seeded())
        added = (result.int() - images.int()).flatten(1)[:100]
        blends = added[(added.amax(1) == added.amin(1)) & (added.amax(1) > 0)][:, 0]
        assert int(blends.max()) > 35  # these are darker than 100, whose own partners add 30 at most
