"""The frequency detector's variants: features, classifiers, thresholds, manipulations, and the filter."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector, FreqFilter
from benchkit_plugins.defenses.freq_detector.manipulations import perturb
from benchkit_plugins.defenses.freq_detector.net import FrequencyNet, Linear, features
from freq_cases import SHAPE, alike, auroc, grainy, labelled, made, natural, prepared, scene, with_block

from benchkit import testing
from benchkit.ops.frequency import dct2
from benchkit.plan.fingerprint import component_id

ALL = "white+noise+gaussian+shadow+blend"
VARIANTS = (
    "freq-detector:arch=linear,epochs=1,feature=dct-log,threshold=argmax",
    "freq-detector:arch=svm,epochs=1,tune=8",
    "freq-detector:rounds=1,feature=image,manipulations=white+blend,smooth_aug=filtered",
    "freq-filter:arch=linear,rounds=1,epochs=1,smooth_aug=dome,smooth_images=40",
)


@testing.parametrize_with_checks([made(text) for text in VARIANTS])
def test_variants_conform(check: testing.Check) -> None:
    check()


class TestFeatures:
    def test_each_is_what_its_name_says(self) -> None:
        images = natural(4, seed=1)
        torch.testing.assert_close(features(images, "dct"), dct2(images))
        assert torch.equal(features(images, "image"), images.float())
        exact = dct2(images).abs().double().add(1e-12).log().float()
        torch.testing.assert_close(features(images, "dct-log"), exact)
        black = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
        assert features(black, "dct-log").unique().item() == pytest.approx(-27.631, abs=1e-3)

    @pytest.mark.parametrize("feature", ["dct", "dct-log", "image"])
    def test_a_linear_classifier_standardises_them(self, feature: str) -> None:
        net = FrequencyNet("linear", feature, SHAPE)
        net.standardise(natural(500, seed=1))
        assert isinstance(net.net, Linear)
        seen = (features(natural(500, seed=1), feature).flatten(1) - net.net.mean) * net.net.scale
        assert float(seen.mean(0).abs().max()) < 1e-5
        deviations = seen.std(0) * seen.shape[1] ** 0.5
        assert float(deviations.max()) == pytest.approx(1, abs=0.01)
        assert float(deviations.median()) == pytest.approx(1, abs=0.01)


class TestClassifiers:
    def test_losses_are_logistic_and_hinge(self) -> None:
        images, labels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
        expected = {"linear": (1 + torch.tensor([0.5, -0.5]).exp()).log().mean(), "svm": torch.tensor(1.0)}
        for arch, loss in expected.items():
            net = FrequencyNet(arch, "image", (3, 8, 8))
            assert isinstance(net.net, Linear)
            net.net.layer.bias.data[:] = torch.tensor([-0.25, 0.25])
            torch.testing.assert_close(net.loss(images, labels).detach(), loss)
            assert net.scores(images).tolist() == pytest.approx([0.5, 0.5])
        assert isinstance(net.net, Linear)
        net.net.layer.bias.data[:] = torch.tensor([-2.0, 2.0])
        assert float(net.loss(images, labels).detach()) == pytest.approx(2.5)

    @pytest.mark.parametrize("arch", ["linear", "svm"])
    @pytest.mark.parametrize(("feature", "least"), [("dct", 0.8), ("dct-log", 0.9), ("image", 0.6)])
    def test_linear_ones_find_bright_blocks(self, arch: str, feature: str, least: float) -> None:
        detector = made(f"freq-detector:arch={arch},feature={feature}")
        where = prepared(detector, natural(800, seed=1))
        clean = natural(300, seed=2)
        assert set(where.prepared) == {"calibration", "net.mean", "net.scale", "net.layer.weight", "net.layer.bias"}
        assert auroc(detector, where, clean, perturb(clean, seeded(3), kinds=("white",))) >= least

    def test_the_pixels_tell_a_network_less_than_their_spectrum(self) -> None:
        detectors = [FreqDetector(rounds=3, batch=32, feature=feature) for feature in ("dct", "image")]
        clean = natural(300, seed=2)
        dct, image = (auroc(one, prepared(one, natural(400, seed=1)), clean, grainy(clean)) for one in detectors)
        assert dct > image + 0.2


class TestThreshold:
    def test_argmax_is_the_larger_logit(self) -> None:
        detector = made("freq-detector:arch=svm,feature=dct-log,threshold=argmax")
        where, clean = prepared(detector, natural(800, seed=1)), natural(300, seed=2)
        assert detector.check(SHAPE, 10) is None
        assert detector.cutoff(where) == 0
        assert float((detector.score(with_block(clean), where) > 0).float().mean()) > 0.9
        assert float((detector.score(clean, where) > 0).float().mean()) < 0.2

    @pytest.mark.parametrize("cls", [FreqDetector, FreqFilter])
    @pytest.mark.parametrize("text", ["0.05", "fpr:5", "fpr:", "argmin"])
    def test_others_are_refused(self, cls: Any, text: str) -> None:
        assert f"got '{text}'" in str(cls(threshold=text).check(SHAPE, 10))


class TestManipulations:
    def test_a_part_of_them_is_all_it_learns(self) -> None:
        clean = natural(300, seed=2)
        stamped = perturb(clean, seeded(3), kinds=("white",))
        found = {}
        for kinds in ("white", "noise", "gaussian+blend"):
            detector = made(f"freq-detector:arch=linear,feature=dct,manipulations={kinds}")
            found[kinds] = auroc(detector, prepared(detector, natural(500, seed=1)), clean, stamped)
        assert found.pop("white") > 0.9
        assert max(found.values()) < 0.75

    @pytest.mark.parametrize("text", ["white+grey", "white+white", "all+white", "white+"])
    def test_words_that_are_none_are_named(self, text: str) -> None:
        fault = str(FreqDetector(manipulations=text).check(SHAPE, 10))
        assert fault == f"freq-detector:manipulations must be all or a part of {ALL}, got '{text}'"
        assert str(FreqFilter(manipulations=text).check(SHAPE, 10)).startswith("freq-filter:manipulations")
        assert FreqDetector(manipulations=ALL).check(SHAPE, 10) is None


class TestFilter:
    def test_it_drops_what_the_detector_flags(self) -> None:
        text = "arch=svm,feature=dct-log,rounds=3,threshold=fpr:0.1"
        detector, screen = made(f"freq-detector:{text}"), made(f"freq-filter:{text}")
        clean = natural(500, seed=1)
        where = prepared(detector, clean)
        poisoned = clean.clone()
        poisoned[:50] = with_block(clean[:50])
        suspicion = screen.suspicion(labelled(poisoned), where)
        assert suspicion.dtype == torch.float32
        assert torch.equal(suspicion > 0, detector.score(poisoned, where) > detector.cutoff(where))
        assert float((suspicion[:50] > 0).float().mean()) > 0.9
        assert float((suspicion[50:] > 0).float().mean()) < 0.25

    def test_its_own_boundary_is_another_threshold(self) -> None:
        natural_images = natural(200, seed=1)
        screen = made("freq-filter:arch=linear,rounds=1,epochs=1,threshold=argmax")
        where = prepared(screen, natural_images)
        expected = screen.score(natural_images, where)
        torch.testing.assert_close(screen.suspicion(labelled(natural_images), where), expected)

    def test_both_share_one_training(self) -> None:
        for text in ("", ":arch=svm,tune=5"):
            detector, screen = made(f"freq-detector{text}"), made(f"freq-filter{text}")
            assert component_id(detector, "prepare") == component_id(screen, "prepare")
            other = dataclasses.replace(screen, threshold="argmax")
            assert component_id(other, "prepare") == component_id(detector, "prepare")
        clean = natural(40, seed=1)
        assert alike(FreqDetector(rounds=1).prepare(scene(clean)), FreqFilter(rounds=1).prepare(scene(clean)))
