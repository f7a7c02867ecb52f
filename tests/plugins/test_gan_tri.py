"""GAN-Tri: the traces of an upsampling network, and their size."""

from __future__ import annotations

import pytest
import torch
from attack_scenes import RGB, Shape, natural, noise, scene
from benchkit_plugins.attacks.gan_tri import GanTri
from torch import Tensor

from benchkit.ops.frequency import dct2


class TestGanTri:
    @staticmethod
    def change(attack: GanTri, images: Tensor, seed: int = 0) -> Tensor:
        prepared = attack.prepare(scene(clean=images, seed=seed))
        return attack.stamp(images, scene(clean=images, prepared=prepared)).float() - images.float()

    @pytest.mark.parametrize("seed", range(3))
    def test_transposed_convolutions_leave_spots_where_zeros_between_pixels_do(self, seed: int) -> None:
        images = natural(8, 64)
        spotted, plain = (
            dct2(self.change(GanTri(up=up), images, seed)).abs().mean((0, 1)) for up in ("transposed", "nearest")
        )
        for near, far in ((slice(31, 34), slice(36, 42)), (slice(62, 64), slice(54, 60))):
            for amounts in (spotted, spotted.T):
                assert amounts[near].mean() > 1.2 * amounts[far].mean()
            assert plain[near].mean() < 1.2 * plain[far].mean()

    @pytest.mark.parametrize("amp", [0.05, 0.1])
    def test_changes_by_up_to_amp_and_neither_fades_nor_saturates(self, amp: float) -> None:
        change = self.change(GanTri(amp=amp), natural(8, 64))
        assert change.abs().max() <= round(255 * amp) + 1
        assert 0.3 < change.square().mean().sqrt() / (255 * amp) < 0.8

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("up", ["transposed", "nearest"])
    @pytest.mark.parametrize("input_adaptive", [True, False])
    def test_the_trigger_is_the_pattern_and_no_shift_of_colours(
        self, input_adaptive: bool, up: str, channels: int, seed: int
    ) -> None:
        images = 60 + natural(16, 64)[:, :channels] // 2  # far from clipping
        change = self.change(GanTri(up=up, input_adaptive=input_adaptive), images, seed)
        energy = change.square().mean()
        assert 0.5 < energy.sqrt() / 25.5 < 0.7
        assert change.mean((0, 2, 3)).square().mean() < 0.05 * energy
        assert change.mean((2, 3)).square().mean() < 0.1 * energy  # nor of those of each image

    def test_only_the_input_adaptive_one_depends_on_the_image(self) -> None:
        images = 60 + natural(8, 64) // 2  # far from clipping
        adaptive, fixed = self.change(GanTri(), images), self.change(GanTri(input_adaptive=False), images)
        assert (fixed == fixed[0]).all()
        assert adaptive.std(0).mean() > 3
        assert fixed[0].std() > 5

    @pytest.mark.parametrize("shape", [(3, 64, 64), (1, 67, 90), (3, 100, 72)])
    def test_any_size(self, shape: Shape) -> None:
        assert (self.change(GanTri(), noise(2, shape)) != 0).double().mean() > 0.8

    def test_a_batch_is_stamped_as_its_images_are(self) -> None:
        images = natural(3, 64)
        attack = GanTri()
        here = scene(clean=images, prepared=attack.prepare(scene(clean=images)))
        alone = torch.cat([attack.stamp(image[None], here) for image in images])
        assert (attack.stamp(images, here).int() - alone.int()).abs().max() <= 1

    def test_small_images_are_refused_unless_asked_for(self) -> None:
        assert "gan-tri:min_side=32" in str(GanTri().check(RGB, 10))
        assert GanTri(min_side=32).check(RGB, 10) is None
        assert GanTri().check((3, 64, 80), 10) is None
