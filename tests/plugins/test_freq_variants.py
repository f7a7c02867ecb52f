"""The frequency detector's variants: classifiers, features, transfer, tuning, the smooth upgrade and the filter."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import torch
from benchkit_plugins.defenses import _freq_smooth
from benchkit_plugins.defenses._freq_net import FrequencyNet, Linear, features
from benchkit_plugins.defenses._manipulations import perturb
from benchkit_plugins.defenses.freq_detector import FreqDetector, FreqFilter
from sklearn.metrics import roc_auc_score
from torch import Tensor

import benchkit
from benchkit import testing
from benchkit.build import build
from benchkit.fingerprint import component_id
from benchkit.frequency import dct2, idct2, low_pass
from benchkit.spec import pieces

SHAPE = (3, 16, 16)
ALL = "white+noise+gaussian+shadow+blend"
VARIANTS = (
    "freq-detector:arch=linear,feature=dct-log,threshold=argmax",
    "freq-detector:arch=svm,tune=8",
    "freq-detector:rounds=1,feature=image,manipulations=white+blend,smooth_aug=filtered",
    "freq-filter:arch=linear,rounds=1,smooth_aug=dome,smooth_images=40",
)


def made(text: str) -> Any:
    ((name, raw),) = pieces(text)
    return build({cls.name: cls for cls in (FreqDetector, FreqFilter)}[name], raw)


@testing.parametrize_with_checks([made(text) for text in VARIANTS])
def test_variants_conform(check: testing.Check) -> None:
    check()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def natural(count: int, seed: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Return 8-bit images whose amplitude falls like 1/f^2, of any brightness and contrast, with fine grain."""
    channels, height, width = shape
    rng = seeded(seed)
    f = torch.hypot(torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5)
    waves = idct2(torch.randn(count, channels, height, width, generator=rng) / f**2)
    level, contrast = torch.rand(2, count, 1, 1, 1, generator=rng)
    grain = torch.randn(waves.shape, generator=rng)
    return (60 + 130 * level + height * (10 + 50 * contrast) * waves + grain).clamp(0, 255).to(torch.uint8)


def with_block(images: Tensor) -> Tensor:
    images = images.clone()
    images[..., -5:-1, -5:-1] = 255
    return images


def grainy(images: Tensor, seed: int = 5) -> Tensor:
    """Return images with the noise of another camera."""
    noise = 4 * torch.randn(images.shape, generator=seeded(seed))
    return (images + noise).clamp(0, 255).to(torch.uint8)


def split(images: Tensor) -> benchkit.Split:
    return benchkit.Split(images, torch.zeros(len(images), dtype=torch.int64))


def scene(clean: Tensor, seed: int = 0, **more: Any) -> benchkit.Scene:
    channels, height, width = clean.shape[1:]
    return benchkit.Scene(2, (channels, height, width), torch.device("cpu"), split(clean), seeded(seed), **more)


def prepared(detector: Any, clean: Tensor, **more: Any) -> benchkit.Scene:
    return scene(clean, 1, prepared=detector.prepare(scene(clean, **more)))


def auroc(detector: Any, where: benchkit.Scene, clean: Tensor, stamped: Tensor) -> float:
    scores = detector.score(torch.cat([clean, stamped]), where)
    return float(roc_auc_score([0] * len(clean) + [1] * len(stamped), scores))


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
            detector = made(f"freq-detector:arch=linear,manipulations={kinds}")
            found[kinds] = auroc(detector, prepared(detector, natural(500, seed=1)), clean, stamped)
        assert found.pop("white") > 0.9
        assert max(found.values()) < 0.75

    @pytest.mark.parametrize("text", ["white+grey", "white+white", "all+white", "white+"])
    def test_words_that_are_none_are_named(self, text: str) -> None:
        fault = str(FreqDetector(manipulations=text).check(SHAPE, 10))
        assert fault == f"freq-detector:manipulations must be all or a part of {ALL}, got '{text}'"
        assert str(FreqFilter(manipulations=text).check(SHAPE, 10)).startswith("freq-filter:manipulations")
        assert FreqDetector(manipulations=ALL).check(SHAPE, 10) is None


class TestTransfer:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [("", ()), ("self", ()), ("gtsrb", ("gtsrb",)), ("self+gtsrb", ("gtsrb",)), ("a+b", ("a", "b"))],
    )
    def test_it_asks_for_the_other_datasets(self, text: str, wanted: tuple[str, ...]) -> None:
        detector = FreqDetector(train_on=text)
        assert detector.other_datasets() == wanted
        assert detector.check(SHAPE, 10) is None

    @pytest.mark.parametrize("text", ["a+", "+", "a+a"])
    def test_it_refuses_what_is_no_list_of_datasets(self, text: str) -> None:
        assert f"got '{text}'" in str(FreqDetector(train_on=text).check(SHAPE, 10))

    def test_it_learns_from_what_it_names_and_from_nothing_else(self) -> None:
        own, other = natural(60, seed=1), {"a": split(natural(80, seed=2)), "b": split(natural(40, seed=3))}
        learn = functools.partial(self.learned, others=other)
        assert alike(learn("", own), learn("self", own))
        assert alike(learn("a", own), learn("a", grainy(own)))
        assert not alike(learn("a", own), learn("b", own))
        assert not alike(learn("self+a", own), learn("self+a", grainy(own)))
        sizes = {text: len(learn(text, own)["calibration"]) for text in ("", "a", "a+b", "self+a+b")}
        assert sizes == {"": 6, "a": 8, "a+b": 12, "self+a+b": 18}

    def learned(self, text: str, own: Tensor, others: dict[str, benchkit.Split]) -> dict[str, Tensor]:
        return made(f"freq-detector:arch=linear,train_on={text}" if text else "freq-detector:arch=linear").prepare(
            scene(own, others=others)
        )

    def test_images_of_another_size_are_refused_in_a_sentence(self) -> None:
        others = {"large": split(natural(20, seed=1, shape=(3, 32, 32)))}
        with pytest.raises(
            benchkit.DataError, match="train_on=large has images of 3 x 32 x 32, those to judge are 3 x 16"
        ):
            FreqDetector(train_on="large").prepare(scene(natural(20, seed=1), others=others))


class TestTuning:
    def test_it_takes_another_camera_for_what_it_is(self) -> None:
        source, target = {"a": split(natural(600, seed=1))}, grainy(natural(300, seed=2))
        alarms = []
        for tune in (0, 100):
            detector = made(f"freq-detector:arch=svm,feature=dct-log,train_on=a,tune={tune},tune_epochs=40")
            where = prepared(detector, target[:200], others=source)
            scores = detector.score(torch.cat([target[200:], with_block(target[200:])]), where)
            alarms.append(float((scores[:100] > 0).float().mean()))
            assert float((scores[100:] > 0).float().mean()) > 0.8
        assert alarms[0] > 0.8
        assert alarms[1] < 0.2

    def test_it_does_not_touch_the_images_that_set_the_threshold(self) -> None:
        detector, clean = FreqDetector(rounds=1, batch=32, tune=90, tune_epochs=1), natural(100, seed=4)
        first = prepared(detector, clean)
        gaps = (detector.score(clean, first)[:, None] - first.prepared["calibration"]).abs()
        replaced = clean.clone()
        replaced[gaps.argmin(0)] = natural(10, seed=5)
        second = prepared(detector, replaced).prepared
        changed = {name for name, value in second.items() if not torch.equal(value, first.prepared[name])}
        assert changed == {"calibration"}

    def test_more_images_than_there_are_is_said(self) -> None:
        with pytest.raises(benchkit.DataError, match="tune=40 is more than its own 36"):
            FreqDetector(arch="linear", tune=40).prepare(scene(natural(40, seed=1)))


class TestSmoothUpgrade:
    def test_the_dome_is_the_filters_dominant_eigenvector(self) -> None:
        dome = _freq_smooth.eigen_dome(32, 32)
        at = [0, 4, 8, 12, 14, 16, 20, 24, 28, 31]
        expected = [0.446, 0.700, 0.898, 0.994, 0.999, 0.976, 0.858, 0.667, 0.442, 0.282]
        assert dome[13, at].tolist() == pytest.approx(expected, abs=6e-4)
        torch.testing.assert_close(low_pass(dome), 0.893**2 * dome, rtol=2e-3, atol=0)
        assert torch.equal(dome, dome.T)
        assert float(_freq_smooth.eigen_dome(24, 48).max()) == 1

    def test_domes_come_in_random_colours_and_are_put_in_as_the_attack_does(self) -> None:
        grey = torch.full((200, 3, 32, 32), 100, dtype=torch.uint8)
        stamped = _freq_smooth.smooth_copies(grey, "dome", seeded())
        assert stamped.amin((1, 2, 3)).unique().tolist() == [0]
        assert stamped.amax((1, 2, 3)).unique().tolist() == [255]
        shape = _freq_smooth.eigen_dome(32, 32).flatten()
        strongest = stamped.flatten(2).float()[range(200), stamped.amax((2, 3)).argmax(1)]
        assert min(float(torch.corrcoef(torch.stack([row, shape]))[0, 1]) for row in strongest) > 0.999
        assert set(stamped.amax((2, 3)).argmax(1).tolist()) == {0, 1, 2}

    def test_the_sum_is_stretched_and_truncated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
        trigger = torch.zeros(1, 1, 16, 16)
        trigger[..., -1, -1] = 5
        monkeypatch.setattr(_freq_smooth, "_domes", lambda shape, rng: trigger)
        stamped = _freq_smooth.smooth_copies(ramp, "dome", seeded()).flatten()
        exact = [level for level in range(255) if level % 6]  # the others are whole numbers, give or take a bit
        assert stamped[exact].tolist() == [int(level / 1.2) for level in exact]
        assert int(stamped[255]) == 255

    @pytest.mark.parametrize("kind", ["dome", "filtered"])
    def test_triggers_have_no_high_frequencies_and_are_all_different(self, kind: str) -> None:
        monochrome = torch.zeros(100, 1, 32, 32, dtype=torch.uint8)
        images = monochrome if kind == "filtered" else monochrome.expand(-1, 3, -1, -1).contiguous()
        stamped = _freq_smooth.smooth_copies(images, kind, seeded(2))
        power = dct2(stamped).square()
        assert float(power[..., :6, :6].sum() / power.sum()) > 0.99
        assert len(stamped.flatten(1).unique(dim=0)) == 100
        again = _freq_smooth.smooth_copies(images, kind, seeded(2))
        assert torch.equal(stamped, again)

    def test_batches_do_not_share_triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_freq_smooth, "BATCH_VALUES", 3 * 16 * 16 * 10)
        stamped = _freq_smooth.smooth_copies(natural(1, seed=1).expand(35, -1, -1, -1), "filtered", seeded())
        assert len(stamped.flatten(1).unique(dim=0)) == 35

    @pytest.mark.parametrize("kind", ["dome", "filtered"])
    def test_it_learns_them(self, kind: str) -> None:
        learned, clean = natural(500, seed=1), natural(300, seed=2)
        stamped = _freq_smooth.smooth_copies(clean, kind, seeded(9))
        found = []
        for aug in ("none", kind):
            detector = FreqDetector(rounds=1, batch=32, smooth_aug=aug, smooth_epochs=8, tune_lr=0.1)
            found.append(auroc(detector, prepared(detector, learned), clean, stamped))
        assert found[1] > max(0.78, found[0] + 0.1)

    def test_it_takes_as_many_images_as_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []

        def count(images: Tensor, kind: str, rng: torch.Generator) -> Tensor:
            seen.append(len(images))
            return images

        monkeypatch.setattr("benchkit_plugins.defenses._freq_base.smooth_copies", count)
        for images in (20, 20000):
            FreqDetector(arch="linear", smooth_aug="dome", smooth_images=images).prepare(scene(natural(40, seed=1)))
        assert seen == [10, 36]


class TestFilter:
    def test_it_drops_what_the_detector_flags(self) -> None:
        text = "arch=svm,feature=dct-log,rounds=3,threshold=fpr:0.1"
        detector, screen = made(f"freq-detector:{text}"), made(f"freq-filter:{text}")
        clean = natural(500, seed=1)
        where = prepared(detector, clean)
        poisoned = clean.clone()
        poisoned[:50] = with_block(clean[:50])
        suspicion = screen.suspicion(split(poisoned), where)
        assert suspicion.dtype == torch.float32
        assert torch.equal(suspicion > 0, detector.score(poisoned, where) > detector.cutoff(where))
        assert float((suspicion[:50] > 0).float().mean()) > 0.9
        assert float((suspicion[50:] > 0).float().mean()) < 0.25

    def test_its_own_boundary_is_another_threshold(self) -> None:
        natural_images = natural(200, seed=1)
        screen = made("freq-filter:arch=linear,rounds=1,threshold=argmax")
        where = prepared(screen, natural_images)
        expected = screen.score(natural_images, where)
        torch.testing.assert_close(screen.suspicion(split(natural_images), where), expected)

    def test_both_share_one_training(self) -> None:
        for text in ("", ":arch=svm,tune=5"):
            detector, screen = made(f"freq-detector{text}"), made(f"freq-filter{text}")
            assert component_id(detector, prepare=True) == component_id(screen, prepare=True)
            other = dataclasses.replace(screen, threshold="argmax")
            assert component_id(other, prepare=True) == component_id(detector, prepare=True)
        clean = natural(40, seed=1)
        assert alike(FreqDetector(rounds=1).prepare(scene(clean)), FreqFilter(rounds=1).prepare(scene(clean)))


def alike(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
