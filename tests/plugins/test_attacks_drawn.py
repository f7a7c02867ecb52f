"""The watermark, square and mug of Zeng et al. (ICCV 2021): their geometry, how they go in, and what they excite."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from attack_scenes import Shape, flat, noise, scene
from benchkit_plugins._shared.masks import box_of, mug, square, watermark
from benchkit_plugins.attacks.nature import Nature
from benchkit_plugins.attacks.trojan.troj_sq import TrojSq
from benchkit_plugins.attacks.trojan.troj_wm import TrojWm
from crafted_triggers import ReluNet, answers, crafted, stamped

from benchkit.models import classifier


class TestWatermark:
    def test_at_224_pixels_its_lines_cover_seven_percent(self) -> None:
        mask = watermark(224, 224)
        assert mask.unique().tolist() == [0, 1]
        assert mask.mean().item() == pytest.approx(0.072, abs=0.001)

    def test_at_32_pixels_it_touches_what_the_published_one_does(self) -> None:
        mask = watermark(32, 32)
        assert int((255 * mask >= 0.5).sum()) == pytest.approx(321, abs=15)
        assert box_of(mask) == (slice(0, 30), slice(0, 30))
        assert mask.max() == 1

    @pytest.mark.parametrize("side", [32, 64, 224, 300])
    def test_rings_and_stroke_are_where_they_belong(self, side: int) -> None:
        solid = watermark(side, side) > 0.3

        def at(row: float, column: float) -> bool:
            return bool(solid[int(row * side / 32), int(column * side / 32)])

        assert at(21, 15) or at(21, 14.9)  # the outer ring, left of its centre
        assert at(15, 21) or at(14.9, 21)
        assert not at(21, 21)
        assert not at(2, 2)
        assert not at(31.5, 31.5)

    def test_pattern_lies_within_the_mask(self) -> None:
        attack = TrojWm(source="random")
        mask = watermark(32, 32)
        changed = (stamped(attack, flat(0)) > 0)[0].any(0)
        assert not (changed & (mask == 0)).any()
        assert (changed & (mask == 1)).any()
        assert crafted(attack)["pattern"].shape == (3, 30, 30)

    def test_add_adds_and_replace_mixes_where_the_mask_is_soft(self) -> None:
        mask = watermark(32, 32)[:30, :30]
        pattern = (100 * mask).round().to(torch.uint8).expand(3, 30, 30)
        for mode, kept in (("add", torch.ones_like(mask)), ("replace", 1 - mask)):
            result = TrojWm(mode=mode).stamp(flat(200), scene(prepared={"pattern": pattern}))
            expected = (200 * kept + pattern).clamp(max=255).round().to(torch.uint8)
            assert torch.equal(result[0, :, :30, :30], expected)
            assert (result[..., 30:, :] == 200).all()

    def test_mode_does_not_craft_anew(self) -> None:
        assert TrojWm(mode="replace").prepare_params() == TrojWm().prepare_params()

    def test_square_follows_the_rule(self) -> None:
        for side, first, last in ((32, 21, 29), (64, 42, 58), (224, 145, 203)):
            assert box_of(square(side, side)) == (slice(first, last + 1),) * 2

    @pytest.mark.parametrize("attack", [TrojWm(), TrojSq()], ids=str)
    def test_optimised_pixels_come_closer_to_the_target_than_random_ones(self, attack: Any) -> None:
        attack = dataclasses.replace(attack, target_value=5.0, steps=100, neurons=2)
        random = [stamped(dataclasses.replace(attack, source="random"), flat(0), seed) for seed in range(10)]
        best = stamped(attack, flat(0))
        spread = answers(torch.cat(random)).sum(1)
        assert answers(best).sum() > spread.max()

    def test_a_silent_neuron_is_passed_over(self) -> None:
        net = ReluNet(3)
        with torch.no_grad():
            net.head.weight[:, 3] = 10.0
            net.hidden.bias[3] = -100.0
        here = [
            scene(clean=noise(8), granted=classifier.Classifier(net, torch.full((3,), 0.5), torch.full((3,), 0.2)))
            for _ in range(2)
        ]
        short, long = (TrojSq(steps=steps).prepare(at)["pattern"] for steps, at in zip((1, 50), here, strict=True))
        assert (short.float() - long.float()).abs().mean() > 30


class TestNature:
    def test_at_32_pixels_it_is_the_published_mug_in_place_size_and_colour(self) -> None:
        result = stamped(Nature(), flat(0))[0].float()
        mask = result.sum(0) > 0
        assert int(mask.sum()) == 121
        assert box_of(mask) == (slice(18, 30), slice(17, 31))
        colour = result[:, mask].mean(1)
        assert (colour - torch.tensor([133.0, 146.0, 155.0])).abs().max() < 1.5
        assert result.max() / 255 == pytest.approx(0.925, abs=0.01)
        inside = result[:, mask] / 255
        assert ((inside > 0.35) & (inside < 0.75)).float().mean() > 0.8

    @pytest.mark.parametrize("shape", [(3, 64, 64), (1, 224, 224), (3, 28, 28), (3, 96, 48)])
    def test_it_keeps_its_share_and_place_at_any_size(self, shape: Shape) -> None:
        mask, _ = mug(*shape[1:])
        assert mask.float().mean().item() == pytest.approx(0.12, abs=0.006)
        for span, side, (first, last) in zip(box_of(mask), shape[1:], ((18, 30), (17, 31)), strict=True):
            assert abs(span.start - first * side / 32) <= 2
            assert abs(span.stop - last * side / 32) <= 2

    def test_it_has_a_handle_one_can_hold(self) -> None:
        mask, _ = mug(224, 224)
        row = mask[round(23.5 * 7)]
        assert row[25 * 7]
        assert not row[28 * 7]
        assert row[round(30.5 * 7)]

    def test_add_clips_at_white_and_replace_hides_what_is_below(self) -> None:
        mask, _ = mug(32, 32)
        assert (stamped(Nature(), flat(200))[0, :, mask] == 255).float().mean() > 0.95
        pasted = [stamped(Nature(mode="replace"), flat(level)) for level in (0, 200)]
        assert torch.equal(*(image[..., mask] for image in pasted))
        assert (pasted[1][..., ~mask] == 200).all()

    @pytest.mark.parametrize("area", [0.03, 0.3])
    def test_area_and_value(self, area: float) -> None:
        result = stamped(Nature(area=area, value=0.4), flat(0, (1, 128, 128)))
        mask = result[0, 0] > 0
        assert mask.float().mean().item() == pytest.approx(area, rel=0.05)
        assert result[0, 0][mask].float().mean().item() == pytest.approx(0.4 * 255, abs=1)

    def test_a_mug_smaller_than_a_pixel_is_refused(self) -> None:
        assert "larger" in str(Nature(area=0.0001).check((3, 16, 16), 10))
        assert Nature().check((3, 8, 8), 10) is None
