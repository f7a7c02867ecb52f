"""WaNet: its warp against the formula, and the noise mode of its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from attack_scenes import RGB, Shape, noise, ready, scene, split, stamped
from benchkit_plugins.attacks.invisible import Invisible
from benchkit_plugins.attacks.physical import Physical
from benchkit_plugins.attacks.wanet import WaNet
from steered import steered
from torch import Tensor
from torch.nn import functional

import benchkit


class TestWaNet:
    def test_strength_zero_is_the_identity(self) -> None:
        for shape in (RGB, (1, 28, 28), (3, 20, 36)):
            images = noise(3, shape)
            assert torch.equal(stamped(WaNet(s=0.0), images), images)

    def test_offsets_follow_the_formula(self) -> None:
        grid = WaNet(k=32).prepare(scene())["grid"]
        offsets = torch.rand(1, 2, 32, 32, generator=scene().rng) * 2 - 1
        expected = 0.5 * (offsets / offsets.abs().mean())[0].permute(1, 2, 0) / 32
        line = torch.linspace(-1, 1, 32)
        plain = torch.stack((line.expand(32, 32), line[:, None].expand(32, 32)), 2)
        assert grid.allclose((plain + expected).clamp(-1, 1), atol=1e-6)

    def test_a_shift_of_one_pixel_moves_columns(self) -> None:
        line = torch.linspace(-1, 1, 32)
        grid = torch.stack((line.expand(32, 32) + 2 / 31, line[:, None].expand(32, 32)), 2)
        images = noise(2)
        result = WaNet().stamp(images, scene(prepared={"grid": grid}))
        assert torch.equal(result[..., :-1], images[..., 1:])
        assert torch.equal(result[..., -1], images[..., -1])

    def test_the_field_depends_on_the_seed_only(self) -> None:
        first, again, other = (WaNet().prepare(scene(seed=seed))["grid"] for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_the_control_is_warped_as_much_along_another_field(self) -> None:
        attack, here = WaNet(), ready(WaNet())
        images = noise(50)
        clean, trigger = (attack.control(images, here), attack.stamp(images, here))
        sizes = [(warped.float() - images.float()).abs().mean() for warped in (clean, trigger)]
        assert sizes[0] == pytest.approx(sizes[1].item(), rel=0.2)
        grids = [here.prepared[name] - WaNet(s=0).prepare(scene())["grid"] for name in ("grid", "other")]
        correlation = torch.corrcoef(torch.stack([grid.flatten() for grid in grids]))[0, 1]
        assert abs(float(correlation)) < 0.6
        assert torch.equal(clean, attack.control(images, here))

    def test_a_wrapped_warp_has_another_wrapped_warp_for_control(self) -> None:
        attack, bare = Invisible(base=WaNet(cross_ratio=0), k=32), WaNet(cross_ratio=0)
        here, images = ready(bare), noise(5)
        assert torch.equal(attack.control(images, here), bare.control(images, here))
        assert not torch.equal(attack.control(images, here), images)

    def test_rescale_zooms_the_whole_grid(self) -> None:
        grid = WaNet(s=0.0, grid_rescale=0.9).prepare(scene())["grid"]
        assert grid.max().item() == pytest.approx(0.9)

    def test_noise_mode_warps_a_share_of_unpoisoned_rows_and_keeps_labels(self) -> None:
        batch_of, poisoned = fitted_with(WaNet(), rate=0.1)
        rows = torch.arange(0, 200, 2)
        batch = poisoned.data[rows]
        before = batch.images.clone()
        images, labels = batch_of(batch.images, batch.labels, rows)
        changed = (images != batch.images).flatten(1).any(1)
        assert changed.sum() == 20
        assert not (changed & poisoned.mask[rows]).any()
        assert torch.equal(labels, batch.labels)
        assert torch.equal(batch.images, before)

    @pytest.mark.parametrize("shape", [RGB, (3, 20, 36)])
    def test_noise_of_up_to_half_a_pixel_is_added_to_the_field(self, shape: Shape) -> None:
        """As released: the grid of the trigger, plus (2 u - 1) / side with u of U(0, 1)."""
        attack, images = WaNet(), noise(4, shape)
        here = ready(attack, shape)
        _, height, width = shape
        noisy = attack.noisy(images, dataclasses.replace(here, rng=torch.Generator().manual_seed(3)))
        u = torch.rand(4, height, width, 2, generator=torch.Generator().manual_seed(3))
        grids = here.prepared["grid"] + (2 * u - 1) / torch.tensor([width, height])
        sampled = functional.grid_sample(images.float(), grids.clamp(-1, 1), align_corners=True)
        assert torch.equal(noisy, sampled.round().to(torch.uint8))

    def test_noise_is_fresh_for_every_image_and_batch(self) -> None:
        batch_of, _ = fitted_with(WaNet(), rate=0.1)
        rows, same = torch.arange(200), noise(1, (1, 16, 16)).expand(200, 1, 16, 16)
        first, _ = batch_of(same, rows % 4, rows)
        second, _ = batch_of(same, rows % 4, rows)
        assert len(first.unique(dim=0)) == 41
        assert not torch.equal(first, second)

    @pytest.mark.parametrize("wrapper", [partial(Physical, everything=False), Invisible])
    def test_a_wrapper_is_told_that_noise_mode_is_out_of_its_reach(
        self, wrapper: Callable[..., benchkit.AttackWrapper]
    ) -> None:
        """The noisy warps would be all that is not reworked: the victim would learn to tell poison by the rework."""
        assert "add base.cross_ratio=0" in str(wrapper(base=WaNet()).check(RGB, 4))
        assert wrapper(base=WaNet(cross_ratio=0)).check(RGB, 4) is None

    def test_without_noise_mode_batches_stay_as_they_are(self) -> None:
        batch_of, poisoned = fitted_with(WaNet(cross_ratio=0), rate=0.1)
        images, labels = batch_of(poisoned.data.images, poisoned.data.labels, torch.arange(200))
        assert torch.equal(images, poisoned.data.images)
        assert torch.equal(labels, poisoned.data.labels)

    def test_noisy_images_are_all_that_the_ratio_asks_for(self) -> None:
        """0.29 * 100 is a little less than 29 in floats."""
        batch_of, poisoned = fitted_with(WaNet(cross_ratio=1.0), rate=0.29)
        rows = poisoned.mask.sort().indices[:100]
        images, _ = batch_of(poisoned.data.images[rows], poisoned.data.labels[rows], rows)
        assert int((images != poisoned.data.images[rows]).flatten(1).any(1).sum()) == 29

    @pytest.mark.parametrize("mapping", ["all-to-one", "all-to-all"])
    def test_fresh_images_of_each_batch_are_poisoned_as_released(self, mapping: str) -> None:
        attack = WaNet(poisoning="batch", target=1, mapping=mapping)
        here = ready(attack, (1, 16, 16), rate=0.29)
        batch_of, _ = fitted_with(attack, rate=0.29, fits="clean")
        batch = split(100, seed=5)
        before = batch.images.clone()
        images, labels = batch_of(batch.images, batch.labels, torch.arange(100))
        assert torch.equal(images[:29], attack.stamp(batch.images[:29], here))
        assert torch.equal(labels[:29], attack.target_labels(batch.labels[:29], here))
        assert torch.equal(labels[29:], batch.labels[29:])
        noisy = (images != batch.images).flatten(1).any(1)[29:]
        assert noisy.tolist() == [True] * 58 + [False] * 13
        assert not torch.equal(images[29:87], attack.stamp(batch.images[29:87], here))
        assert torch.equal(batch.images, before)
        again, _ = batch_of(batch.images, batch.labels, torch.arange(100))
        assert not torch.equal(images[29:87], again[29:87])

    def test_filters_see_the_set_of_dataset_poisoning_whatever_is_trained_on(self) -> None:
        sets = [
            fitted_with(WaNet(poisoning=how), 0.1, fits)[1] for how, fits in (("dataset", "set"), ("batch", "clean"))
        ]
        assert torch.equal(sets[0].mask, sets[1].mask)
        assert torch.equal(sets[0].data.images, sets[1].data.images)

    def test_a_rate_of_no_image_of_a_batch_says_what_to_do(self) -> None:
        batch_of, _ = fitted_with(WaNet(poisoning="batch"), 0.02, "clean")
        batch = split(40)
        with pytest.raises(
            benchkit.BenchkitError, match=r"0\.02 is no image of a batch of 40: use wanet:poisoning=data"
        ):
            batch_of(batch.images, batch.labels, torch.arange(40))

    def test_a_wrapper_is_told_that_batches_are_out_of_its_reach(self) -> None:
        assert "add base.poisoning=dataset" in str(Invisible(base=WaNet(poisoning="batch")).check(RGB, 4))

    def test_poisoned_rows_survive_a_share_larger_than_the_rest(self) -> None:
        batch_of, poisoned = fitted_with(WaNet(cross_ratio=50.0), rate=0.1)
        images, _ = batch_of(poisoned.data.images, poisoned.data.labels, torch.arange(200))
        changed = (images != poisoned.data.images).flatten(1).any(1)
        assert torch.equal(changed, ~poisoned.mask)


def fitted_with(
    attack: WaNet, rate: float, fits: str = "set"
) -> tuple[Callable[..., tuple[Tensor, Tensor]], benchkit.Poisoned]:
    """Return what training on the poisoned set (or clean images) does with a batch, and the poisoned set."""
    calls: list[tuple[benchkit.Split, Any]] = []
    trainer: Any = SimpleNamespace(fit=lambda data, how, rng: calls.append((data, how.steering)))
    here = dataclasses.replace(ready(attack, (1, 16, 16), rate=rate), trainer=trainer)
    poisoned = attack.poison(split(200), here)
    attack.train(poisoned, here)
    ((data, steering),) = calls
    assert data is (poisoned.data if fits == "set" else here.clean)
    return partial(steered, steering), poisoned
