"""The frequency detector: its network, and the whole on synthetic natural images."""

from __future__ import annotations

import dataclasses

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from attack_scenes import seeded
from benchkit_plugins.defenses.freq_detector.cnn6 import Cnn6, Elu
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector
from freq_cases import prepared, scene, with_block
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import benchkit
from benchkit.ops.frequency import idct2

QUICK = FreqDetector(rounds=3, batch=32)


def smooth(count: int, seed: int, shape: tuple[int, int, int] = (3, 16, 16)) -> Tensor:
    """Return images whose amplitude falls like 1/f^2, as 8-bit pixels."""
    channels, height, width = shape
    f = torch.hypot(torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5)
    waves = torch.randn(count, channels, height, width, generator=seeded(seed)) * 60 / f**2
    waves[..., 0, 0] = 0
    return (110 + height * 0.25 * idct2(waves)).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def trained() -> benchkit.Scene:
    return prepared(QUICK, smooth(600, seed=1))


class TestNetwork:
    def test_it_has_the_published_size_and_order(self) -> None:
        net = Cnn6((3, 32, 32))
        numbers = [*net.parameters(), *(b for name, b in net.named_buffers() if "running" in name)]
        assert sum(number.numel() for number in numbers) == 292_898
        assert sum(number.numel() for number in net.parameters()) == 292_002
        kinds = [type(layer).__name__ for layer in net][:8]
        assert kinds == ["Conv2d", "Elu", "BatchNorm2d"] * 2 + ["MaxPool2d", "Dropout"]
        assert len(net.kernels()) == 6

    def test_initial_weights_are_glorot_uniform(self) -> None:
        net = Cnn6((3, 32, 32), init=seeded())
        head = next(layer for layer in net if isinstance(layer, nn.Linear))
        bound = (6 / (2048 + 2)) ** 0.5
        assert 0.99 * bound < float(head.weight.detach().abs().max()) <= bound
        assert float(head.bias.detach().abs().max()) == 0

    def test_elu_is_torchs_for_every_bfloat16(self) -> None:
        every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
        numbers = every[~every.isnan()]
        assert torch.equal(Elu()(numbers), F.elu(numbers))
        assert Elu()(every).isnan().equal(every.isnan())

    def test_elu_and_its_gradient_are_torchs_in_float32(self) -> None:
        x = torch.linspace(-20, 20, 4001)
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        for given, function in ((ours, Elu()), (theirs, F.elu)):
            (function(given) * torch.linspace(1, 2, 4001)).sum().backward()
        assert float((Elu()(x) - F.elu(x)).abs().max()) < 1e-7
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=2e-7)

    def test_dropout_is_element_wise_and_keeps_the_mean(self) -> None:
        drop = next(layer for layer in Cnn6((3, 32, 32), dropout=seeded()) if type(layer).__name__ == "Dropout")
        kept = drop(torch.ones(8, 32, 16, 16))
        assert sorted(kept.unique().tolist()) == pytest.approx([0, 1.25])
        assert float(kept.mean()) == pytest.approx(1, abs=0.01)
        share = (kept > 0).float().mean((2, 3))
        assert float(share.min()) > 0.6
        assert float(share.max()) < 0.95
        assert torch.equal(drop.eval()(kept), kept)


class TestDetector:
    def test_it_finds_a_bright_block_and_scores_it_higher(self, trained: benchkit.Scene) -> None:
        clean = smooth(400, seed=2)
        scores = QUICK.score(torch.cat([clean, with_block(clean)]), trained)
        assert scores.dtype == torch.float32
        assert roc_auc_score([0] * 400 + [1] * 400, scores) >= 0.95

    def test_false_alarms_on_fresh_images_are_what_was_asked_for(self, trained: benchkit.Scene) -> None:
        scores = QUICK.score(smooth(1000, seed=3), trained)
        for fpr in (0.1, 0.5):
            cutoff = dataclasses.replace(QUICK, threshold=f"fpr:{fpr}").cutoff(trained)
            assert float((scores > cutoff).float().mean()) == pytest.approx(fpr, abs=0.12)

    def test_the_threshold_comes_from_images_it_was_not_trained_on(self) -> None:
        detector = FreqDetector(rounds=1, batch=32)
        clean = smooth(100, seed=4, shape=(1, 8, 8))
        first = prepared(detector, clean)
        scores, calibration = detector.score(clean, first), first.prepared["calibration"]
        gaps = (scores[:, None] - calibration).abs()
        assert calibration.shape == (10,)
        assert float(gaps.amin(0).max()) < 1e-4
        replaced = clean.clone()
        replaced[gaps.argmin(0)] = smooth(10, seed=5, shape=(1, 8, 8))
        second = prepared(detector, replaced).prepared
        weights = [name for name in second if name != "calibration"]
        assert all(torch.equal(first.prepared[name], second[name]) for name in weights)
        assert not torch.equal(calibration, second["calibration"])
        assert detector.cutoff(first) == pytest.approx(float(calibration.double().quantile(0.95)))

    def test_it_is_deterministic_and_ignores_the_global_generator(self) -> None:
        detector, clean = FreqDetector(rounds=1, batch=16), smooth(60, seed=6, shape=(1, 8, 8))
        first = detector.prepare(scene(clean, seed=5))
        torch.manual_seed(123)
        state = torch.get_rng_state()
        second, other = detector.prepare(scene(clean, seed=5)), detector.prepare(scene(clean, seed=6))
        assert torch.equal(torch.get_rng_state(), state)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert not torch.equal(first["calibration"], other["calibration"])

    def test_what_it_prepared_survives_a_file(self, trained: benchkit.Scene) -> None:
        kept = safetensors.torch.load(safetensors.torch.save(dict(trained.prepared)))
        images = smooth(20, seed=7)
        again = dataclasses.replace(trained, prepared=kept)
        assert {value.dtype for value in kept.values()} == {torch.float32, torch.int64}
        assert torch.equal(QUICK.score(images, again), QUICK.score(images, trained))

    def test_scores_do_not_depend_on_the_batch(self, trained: benchkit.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        images = smooth(50, seed=8)
        whole = QUICK.score(images, trained)
        monkeypatch.setattr("benchkit_plugins.defenses.freq_detector.net.SCORING_VALUES", 7 * 3 * 16 * 16)
        torch.testing.assert_close(QUICK.score(images, trained), whole, rtol=1e-4, atol=1e-4)
        assert QUICK.score(images[:0], trained).shape == (0,)

    @pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 36)])
    def test_other_sizes_and_grey_images(self, shape: tuple[int, int, int]) -> None:
        detector, clean = FreqDetector(rounds=1), smooth(40, seed=9, shape=shape)
        scores = detector.score(clean, prepared(detector, clean))
        assert scores.shape == (40,)
        assert bool(scores.isfinite().all())

    def test_what_it_cannot_run_on_is_said_before_the_run(self) -> None:
        assert FreqDetector().check((3, 32, 32), 10) is None
        assert FreqDetector().check((1, 28, 28), 10) is None
        assert "4 channels" in str(FreqDetector().check((4, 32, 32), 10))
        assert "8 x 8" in str(FreqDetector().check((3, 4, 32), 10))
        with pytest.raises(benchkit.DataError, match="raise clean="):
            FreqDetector().prepare(scene(smooth(2, seed=0)))

    def test_it_declares_that_it_holds_the_whole_training_set(self) -> None:
        assert FreqDetector().clean == 1.0
        assert str(FreqDetector()) == "freq-detector"
