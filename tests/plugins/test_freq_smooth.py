"""The frequency detector's smooth upgrade: the triggers it learns from besides, and that it learns them."""

from __future__ import annotations

import functools

import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins._shared.dome import eigen_dome
from benchkit_plugins.defenses.freq_detector import smooth
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector
from freq_cases import auroc, natural, prepared, scene
from torch import Tensor

import benchkit
from benchkit.ops.frequency import dct2, low_pass


@functools.cache
def taught(aug: str) -> tuple[FreqDetector, benchkit.Scene]:
    """Return a detector of 500 images, and the scene that it scores in."""
    detector = FreqDetector(rounds=1, batch=32, smooth_aug=aug, smooth_epochs=8, tune_lr=0.1)
    return detector, prepared(detector, natural(500, seed=1))


class TestSmoothUpgrade:
    def test_the_dome_is_the_filters_dominant_eigenvector(self) -> None:
        dome = eigen_dome(32, 32)
        at = [0, 4, 8, 12, 14, 16, 20, 24, 28, 31]
        expected = [0.446, 0.700, 0.898, 0.994, 0.999, 0.976, 0.858, 0.667, 0.442, 0.282]
        assert dome[13, at].tolist() == pytest.approx(expected, abs=6e-4)
        torch.testing.assert_close(low_pass(dome), 0.893**2 * dome, rtol=2e-3, atol=0)
        assert torch.equal(dome, dome.T)
        assert float(eigen_dome(24, 48).max()) == 1

    def test_domes_come_in_random_colours_and_are_put_in_as_the_attack_does(self) -> None:
        grey = torch.full((200, 3, 32, 32), 100, dtype=torch.uint8)
        stamped = smooth.smooth_copies(grey, "dome", seeded())
        assert stamped.amin((1, 2, 3)).unique().tolist() == [0]
        assert stamped.amax((1, 2, 3)).unique().tolist() == [255]
        shape = eigen_dome(32, 32).flatten()
        strongest = stamped.flatten(2).float()[range(200), stamped.amax((2, 3)).argmax(1)]
        assert min(float(torch.corrcoef(torch.stack([row, shape]))[0, 1]) for row in strongest) > 0.999
        assert set(stamped.amax((2, 3)).argmax(1).tolist()) == {0, 1, 2}

    def test_the_sum_is_stretched_and_truncated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
        trigger = torch.zeros(1, 1, 16, 16)
        trigger[..., -1, -1] = 5
        monkeypatch.setattr(smooth, "_domes", lambda shape, rng: trigger)
        stamped = smooth.smooth_copies(ramp, "dome", seeded()).flatten()
        exact = [level for level in range(255) if level % 6]  # the others are whole numbers, give or take a bit
        assert stamped[exact].tolist() == [int(level / 1.2) for level in exact]
        assert int(stamped[255]) == 255

    @pytest.mark.parametrize("kind", ["dome", "filtered"])
    def test_triggers_have_no_high_frequencies_and_are_all_different(self, kind: str) -> None:
        monochrome = torch.zeros(100, 1, 32, 32, dtype=torch.uint8)
        images = monochrome if kind == "filtered" else monochrome.expand(-1, 3, -1, -1).contiguous()
        stamped = smooth.smooth_copies(images, kind, seeded(2))
        power = dct2(stamped).square()
        assert float(power[..., :6, :6].sum() / power.sum()) > 0.99
        assert len(stamped.flatten(1).unique(dim=0)) == 100
        again = smooth.smooth_copies(images, kind, seeded(2))
        assert torch.equal(stamped, again)

    def test_batches_do_not_share_triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(smooth, "BATCH_VALUES", 3 * 16 * 16 * 10)
        stamped = smooth.smooth_copies(natural(1, seed=1).expand(35, -1, -1, -1), "filtered", seeded())
        assert len(stamped.flatten(1).unique(dim=0)) == 35

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["dome", "filtered"])
    def test_it_learns_them(self, kind: str) -> None:
        clean = natural(300, seed=2)
        stamped = smooth.smooth_copies(clean, kind, seeded(9))
        found = [auroc(*taught(aug), clean, stamped) for aug in ("none", kind)]
        assert found[1] > max(0.78, found[0] + 0.1)

    def test_it_takes_as_many_images_as_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []

        def count(images: Tensor, kind: str, rng: torch.Generator) -> Tensor:
            seen.append(len(images))
            return images

        monkeypatch.setattr("benchkit_plugins.defenses.freq_detector.base.smooth_copies", count)
        for images in (20, 20000):
            FreqDetector(arch="linear", epochs=1, smooth_aug="dome", smooth_images=images).prepare(
                scene(natural(40, seed=1))
            )
        assert seen == [10, 36]
