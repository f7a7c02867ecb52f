"""What Smooth, Filtered and Control do to images, against known answers: what they add, and what is left without it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from attack_scenes import RGB, high_share, natural, noise, scene
from benchkit_plugins.attacks.control import Control
from benchkit_plugins.attacks.smooth.filtered import Filtered
from benchkit_plugins.attacks.smooth.smooth import Smooth
from PIL import Image
from torch import Tensor

from benchkit.ops.frequency import dct2
from benchkit.ops.images import stretched, truncated


class TestInsertion:
    @staticmethod
    def put(images: Tensor, trigger: Tensor, **params: Any) -> list[int]:
        attack = Smooth(**params)
        flat: list[int] = attack.stamp(images, scene(clean=images, prepared={"trigger": trigger})).flatten().tolist()
        return flat

    def test_minmax_stretches_over_all_channels_and_cuts_fractions_off(self) -> None:
        image = torch.tensor([[[[51, 51]], [[102, 104]], [[51, 51]]]], dtype=torch.uint8)
        trigger = torch.tensor([[[0.0, 0.2]], [[0.2, 0.2]], [[0.0, 0.1]]])
        # Sums .2, .4, .6, .608, .2, .3: over .408, of 255.
        assert self.put(image, trigger) == [0, 125, 250, 255, 0, 62]
        assert self.put(image, trigger, quantise="round") == [0, 125, 250, 255, 0, 63]
        assert self.put(image, trigger, insertion="clip") == [51, 102, 153, 155, 51, 76]

    def test_each_image_has_its_own_range(self) -> None:
        images = torch.tensor([[[[0, 100]]], [[[200, 250]]]], dtype=torch.uint8)
        assert self.put(images, torch.zeros(1, 1, 2)) == [0, 255, 0, 255]

    def test_clip_stops_at_white(self) -> None:
        image = torch.tensor([[[[250, 10]]]], dtype=torch.uint8)
        assert self.put(image, torch.full((1, 1, 2), 0.2), insertion="clip", quantise="round") == [255, 61]

    @pytest.mark.parametrize("quantise", ["truncate", "round"])
    @pytest.mark.parametrize("insertion", ["minmax", "clip"])
    def test_control_is_the_insertion_of_nothing(self, insertion: str, quantise: str) -> None:
        attack = Smooth(insertion=insertion, quantise=quantise)
        images = 50 + noise(20) // 2
        control = attack.control(images, scene(prepared={"trigger": torch.rand(RGB)}))
        assert torch.equal(control, attack.stamp(images, scene(prepared={"trigger": torch.zeros(RGB)})))
        assert torch.equal(control, images) is (insertion == "clip")
        if insertion == "minmax":
            assert (control.flatten(1).amin(1) == 0).all()
            assert (control.flatten(1).amax(1) == 255).all()

    def test_untouched_levels_survive_truncation(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8)
        assert torch.equal(truncated(levels / 255), levels)

    def test_an_image_of_one_value_stays(self) -> None:
        assert torch.equal(stretched(torch.full((2, 3, 4, 4), 0.3)), torch.full((2, 3, 4, 4), 0.3))


class TestFiltered:
    @pytest.mark.parametrize("base", ["patch", "picture"])
    def test_five_variants_are_five_low_frequency_patterns_from_0_to_amp(self, base: str) -> None:
        patterns = [Filtered(base=base, variant=variant).prepare(scene())["trigger"] for variant in range(5)]
        for pattern in patterns:
            assert pattern.min() == 0
            assert pattern.max() == torch.tensor(0.2)
            assert high_share(pattern) < 1e-4
        assert len({tuple(pattern.flatten().tolist()) for pattern in patterns}) == 5
        assert len({int(pattern.sum(0).argmax()) for pattern in patterns}) >= 4

    def test_the_pattern_depends_on_the_seed(self) -> None:
        first, again, other = (Filtered().prepare(scene(seed=seed))["trigger"] for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_sigma_sets_how_smooth_it_is(self) -> None:
        shares = [high_share(Filtered(sigma=sigma).prepare(scene())["trigger"]) for sigma in (0.5, 1.5, 6.0)]
        assert shares[0] > 10 * shares[1] > 100 * shares[2]
        assert torch.equal(Filtered(sigma=6.0).prepare(scene())["trigger"], Filtered().prepare(scene())["trigger"])

    def test_is_put_in_as_smooth_is(self) -> None:
        images, prepared = noise(5), {"trigger": 0.2 * torch.rand(RGB)}
        options: list[dict[str, Any]] = [{}, {"insertion": "clip"}, {"quantise": "round"}]
        for params in options:
            both = [kind(**params).stamp(images, scene(prepared=prepared)) for kind in (Filtered, Smooth)]
            assert torch.equal(*both)


class TestControl:
    def test_alone_it_is_jpeg_and_says_so(self) -> None:
        assert Control() == Control(jpeg=75)
        assert str(Control()) == "control:jpeg=75"
        assert str(Control(resize=True)) == "control:resize=true"

    @staticmethod
    def of(images: Tensor, **params: Any) -> Tensor:
        return Control(**params).stamp(images, scene(clean=images))

    @pytest.mark.parametrize(("params", "quality"), [({}, 75), ({"jpeg": 40}, 40)])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_jpeg_is_what_pillow_writes_and_reads(self, params: dict[str, int], quality: int, channels: int) -> None:
        images = natural(3, 32)[:, :channels]
        for image, result in zip(images, self.of(images, **params), strict=True):
            file = io.BytesIO()
            pixels = image.permute(1, 2, 0).numpy()
            Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "JPEG", quality=quality)
            expected = torch.from_numpy(np.array(Image.open(file))).view(32, 32, channels).permute(2, 0, 1)
            assert (result.int() - expected.int()).abs().max() <= 2
            assert not torch.equal(result, image)

    def test_minmax_is_what_smooth_does_without_a_trigger(self) -> None:
        images = 50 + noise(4) // 2
        expected = Smooth().control(images, scene(prepared={"trigger": torch.zeros(RGB)}))
        assert torch.equal(self.of(images, minmax=True), expected)
        assert [int(expected.min()), int(expected.max())] == [0, 255]

    def test_noise_has_the_deviation_asked_for(self) -> None:
        images = torch.full((20, *RGB), 128, dtype=torch.uint8)
        difference = self.of(images, noise=4).double() - 128
        assert difference.std().item() == pytest.approx((16 + 1 / 12) ** 0.5, rel=0.02)
        assert abs(difference.mean().item()) < 0.1

    def test_resizing_takes_the_highest_frequencies_away(self) -> None:
        images = noise(8)
        energies = [
            dct2(some.double() - 127.5).square()[..., 26:, 26:].mean()
            for some in (images, self.of(images, resize=True))
        ]
        assert energies[1] < 0.05 * energies[0]
        flat = torch.full((1, *RGB), 77, dtype=torch.uint8)
        assert torch.equal(self.of(flat, resize=True), flat)

    def test_steps_are_taken_in_order(self) -> None:
        images = natural(4, 32)
        both = self.of(images, resize=True, minmax=True)
        assert torch.equal(both, self.of(self.of(images, resize=True), minmax=True))
        assert [int(both.min()), int(both.max())] == [0, 255]

    def test_it_is_a_benign_row(self) -> None:
        here = scene(clean=noise(40), rate=0.5)
        poisoned = Control().poison(here.clean, here)
        assert Control.benign
        assert not poisoned.mask.any()
        assert poisoned.data is here.clean
