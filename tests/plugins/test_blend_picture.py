"""The picture that Blend mixes in: the spectrum of the published one, and what a fixed detector makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from attack_scenes import scene, seeded
from benchkit_plugins._shared.cartoon import cartoon
from benchkit_plugins.attacks.blend import Blend
from benchkit_plugins.datasets.image_folder.image_folder import ImageFolder
from benchkit_plugins.datasets.scenes.scenes import Scenes
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector

import benchkit
from benchkit.ops.frequency import dct2

# The published 32 x 32 trigger, times 0.2: L2 norm 8.60 and mean 35.5 / 255, hence 3.8 around its mean; 1.2 % of the
# energy in the quarter of highest frequencies. Stamped CIFAR-10 images have 3.7 and 4.2 on average at (24, 24) and
# (31, 31), clean ones 3.30 and 1.32.
TRIGGER = 0.2 * 255 * cartoon(3, 32, 32)


class TestSpectrum:
    def test_norm_and_mean(self) -> None:
        assert TRIGGER.norm().item() / 255 == pytest.approx(8.6, abs=0.1)
        assert TRIGGER.mean().item() == pytest.approx(35.5, abs=0.6)

    def test_contrast(self) -> None:
        assert (TRIGGER - TRIGGER.mean()).norm().item() / 255 == pytest.approx(3.8, abs=0.15)

    def test_share_of_high_frequencies(self) -> None:
        energy = dct2(TRIGGER).square().sum(0)
        assert (energy[16:, 16:].sum() / energy.sum()).item() == pytest.approx(0.012, abs=0.001)

    def test_edges_are_not_along_the_axes(self) -> None:
        energy = dct2(TRIGGER - TRIGGER.mean()).square().sum(0)
        along = energy[16:, :4].sum() + energy[:4, 16:].sum()
        assert along < 3 * energy[16:, 16:].sum()

    @pytest.mark.parametrize("side", [64, 224])
    def test_energy_per_pixel_is_kept_when_it_is_scaled(self, side: int) -> None:
        rms = cartoon(3, side, side).square().mean().sqrt()
        assert rms.item() == pytest.approx(8.6 / 0.2 / math.sqrt(3072), abs=0.02)

    def test_stamped_images_have_the_published_spectrum(self, real_set: Callable[[str], Path]) -> None:
        images = cifar(real_set).test.images
        found = dct2(Blend().stamp(images, scene())).abs().mean((0, 1))
        assert found[24, 24].item() == pytest.approx(3.7, abs=0.5)
        assert found[31, 31].item() == pytest.approx(4.2, abs=0.3)


def cifar(real_set: Callable[[str], Path]) -> benchkit.Data:
    folder = real_set("cifar10-png-6k")
    return ImageFolder(root=str(folder)).load(benchkit.Source(folder))


def flagged(data: benchkit.Data, alpha: float) -> list[float]:
    """Return the shares of blended test images, dark, middling and bright, that a small fixed detector flags.

    It is a linear one on log spectra that has learned from 2,000 clean images and copies with another image mixed in;
    5 % of clean images are false alarms.
    """
    detector, attack = FreqDetector(arch="linear", feature="dct-log", manipulations="blend"), Blend(alpha=alpha)
    clean = data.train.images[torch.randperm(len(data.train), generator=seeded())[:2000]]
    ready = scene(clean=clean, prepared=detector.prepare(scene(clean=clean)))
    test = data.test.images[:1000]
    suspicious = detector.score(attack.stamp(test, ready), ready) > detector.cutoff(ready)
    order = test.flatten(1).float().mean(1).argsort()
    return [suspicious[rows].double().mean().item() for rows in order.tensor_split(3)]


class TestDetection:
    """Where edges are smoothed away, or lie along the axes (there 96 % of dark real images), dark images hide them."""

    def test_dark_middling_and_bright_embedded_images_are_flagged_alike(self) -> None:
        assert min(flagged(Scenes().load(benchkit.Source(Path())), alpha=0.1)) >= 0.98

    def test_dark_middling_and_bright_real_images_are_flagged_alike(self, real_set: Callable[[str], Path]) -> None:
        assert min(flagged(cifar(real_set), alpha=0.2)) >= 0.99
