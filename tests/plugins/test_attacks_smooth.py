"""Smooth, Filtered, GAN-Tri and Control against known answers: what they add, and what is left without it."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from benchkit_plugins.attacks._deepfool import deepfool, descent
from benchkit_plugins.attacks._lowpass_insert import spread
from benchkit_plugins.attacks._pixels import stretched, truncated
from benchkit_plugins.attacks.control import Control
from benchkit_plugins.attacks.filtered import Filtered
from benchkit_plugins.attacks.gan_tri import GanTri
from benchkit_plugins.attacks.smooth import Smooth
from PIL import Image
from torch import Tensor, nn

import benchkit
from benchkit.frequency import dct2, low_pass
from benchkit.testing.world import World

Shape = tuple[int, int, int]
RGB: Shape = (3, 32, 32)
BLACK, CHECKED, GREEN = 0, 1, 2
DOME = {0: 0.446, 4: 0.700, 8: 0.898, 12: 0.994, 14: 0.999, 16: 0.976, 20: 0.858, 24: 0.667, 28: 0.442, 31: 0.282}


class Meters(nn.Module):
    """Three linear outputs: nothing, how much like a chessboard an image is, how green it is above 0.45."""

    def __init__(self) -> None:
        super().__init__()
        cells = torch.arange(32)
        board = (1.0 - 2 * ((cells[:, None] + cells) % 2)).expand(RGB) / 3072
        green = torch.zeros(RGB)
        green[1] = 1 / 1024
        self.weight = nn.Parameter(torch.stack((0 * board, board, green)).flatten(1))
        self.bias = nn.Parameter(torch.tensor([0.0, -0.1, -0.45]))

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = images.flatten(1).to(self.weight.dtype) @ self.weight.T + self.bias
        return answers

    def logits(self, images: Tensor) -> Tensor:
        return self.forward(images).detach()

    def copy(self) -> Meters:
        return copy.deepcopy(self)


class Counting(Meters):
    """Counts how often it is asked, and does not let itself be copied."""

    asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(images)

    def copy(self) -> Meters:
        return self


def noise(count: int, shape: Shape = RGB, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def dim(count: int = 40) -> Tensor:
    """Return noisy images that are 0.30 to 0.45 bright on average."""
    brightness = torch.linspace(0.30, 0.449, count)[:, None, None, None]
    return (255 * (brightness + 0.2 * (noise(count) / 255 - 0.5))).to(torch.uint8)


def scene(images: Tensor | None = None, *, seed: int = 0, **more: Any) -> benchkit.Scene:
    images = dim() if images is None else images
    clean = benchkit.Split(images, torch.zeros(len(images), dtype=torch.int64))
    rng = torch.Generator().manual_seed(seed)
    shape = tuple(images.shape[1:])
    return benchkit.Scene(3, shape, torch.device("cpu"), clean, rng, poison_rate=0.5, **more)  # type: ignore[arg-type]


def search(attack: Smooth, images: Tensor | None = None, *, seed: int = 0, model: Any = None) -> dict[str, Tensor]:
    return dict(attack.prepare(scene(images, seed=seed, granted=model or Meters())))


def natural(count: int, side: int) -> Tensor:
    """Return noise with a falling spectrum, uint8 (count, 3, side, side)."""
    rng = torch.Generator().manual_seed(5)
    blurred = sum(low_pass(torch.randn(count, 3, side, side, generator=rng), width) * width for width in (0.7, 2, 6))
    return (120 + 50 * blurred / blurred.std()).clamp(0, 255).to(torch.uint8)  # type: ignore[union-attr]


def high_share(pattern: Tensor) -> float:
    """Return the share of energy in the quarter of highest frequencies."""
    energy = dct2(pattern.double()).double().square()
    height, width = pattern.shape[-2:]
    return float(energy[..., height // 2 :, width // 2 :].sum() / energy.sum())


def dome() -> Tensor:
    """Return the pattern (32, 32) that filtering and rescaling without end comes to."""
    pattern = torch.ones(32, 32, dtype=torch.float64)
    for _ in range(100):
        pattern = low_pass(pattern)
        pattern = pattern / pattern.max()
    return pattern


def correlation(pattern: Tensor) -> float:
    strongest = pattern[pattern.flatten(1).std(1).argmax()]
    return float(np.corrcoef(strongest.flatten().double(), dome().flatten())[0, 1])


class TestDeepFool:
    @pytest.mark.parametrize("overshoot", [0.0, 0.02])
    def test_one_step_reaches_the_boundary_of_a_linear_model_and_overshoot_crosses_it(self, overshoot: float) -> None:
        model, image = Meters().double(), dim(1)[0].double() / 255
        before = model.logits(image[None])[0]
        gap = float(before[BLACK] - before[GREEN])
        slope = (model.weight[GREEN] - model.weight[BLACK]).detach().view(RGB)
        moved = deepfool(model, image, GREEN, lambda _: True, overshoot=max(overshoot, 1e-9), steps=1)
        assert moved is not None
        assert moved.allclose((1 + overshoot) * gap / slope.square().sum() * slope, atol=1e-8)
        after = model.logits((image + moved)[None])[0]
        assert float(after[GREEN] - after[BLACK]) == pytest.approx(overshoot * gap, abs=1e-8)

    def test_an_image_already_there_is_not_moved(self) -> None:
        image = torch.full(RGB, 0.9)
        moved = deepfool(Meters(), image, GREEN, lambda _: True)
        assert moved is not None
        assert not moved.any()

    def test_the_gate_is_told_the_class_at_the_start(self) -> None:
        image = dim(1)[0] / 255
        assert deepfool(Meters(), image, GREEN, lambda answer: answer != BLACK) is None
        assert deepfool(Meters(), image, GREEN, lambda answer: answer == BLACK) is not None

    def test_gives_up_without_a_slope_and_after_the_last_step(self) -> None:
        image = dim(1)[0] / 255
        saturated = deepfool(lambda images: (1e4 * Meters()(images)).softmax(1), image, GREEN, lambda _: True)
        assert saturated is None
        assert deepfool(Meters(), image, GREEN, lambda _: True, steps=0) is None

    def test_descent_is_one_step_of_length_1_towards_the_class(self) -> None:
        model, image = Meters(), dim(1)[0] / 255
        moved = descent(model, image, GREEN, lambda _: True)
        assert moved is not None
        assert moved.norm().item() == pytest.approx(1, rel=1e-4)
        losses = [-model((image + part * moved)[None]).log_softmax(1)[0, GREEN].item() for part in (-0.1, 0, 0.1)]
        assert losses[0] > losses[1] > losses[2]
        assert descent(model, image, GREEN, lambda _: False) is None


class TestSearch:
    @pytest.mark.parametrize(("grads", "start"), [("logits", CHECKED), ("softmax", CHECKED), ("plain", GREEN)])
    def test_ends_at_the_dominant_class_wherever_it_starts(self, grads: str, start: int) -> None:
        found = search(Smooth(start_label=str(start), grads=grads))
        assert found["label"] == GREEN
        assert 0.2 <= found["fooling"] <= 1
        assert found["passes"] <= 2
        answers = Meters().logits(dim() / 255 + found["trigger"]).argmax(1)
        assert (answers != BLACK).double().mean().item() == pytest.approx(float(found["fooling"]))

    def test_trigger_of_a_trained_network_is_a_coloured_dome_from_0_to_amp(self) -> None:
        world, attack = World(3, 32), Smooth(start_label="1")
        found = attack.prepare(world.preparing(attack))
        assert found["trigger"].min() == 0
        assert found["trigger"].max() == torch.tensor(0.2)
        assert correlation(found["trigger"]) >= 0.99
        assert high_share(found["trigger"]) < 1e-6
        assert found["passes"] <= 3

    def test_amp_is_the_largest_value(self) -> None:
        assert search(Smooth(amp=0.5, start_label="2"))["trigger"].max() == 0.5

    def test_an_image_already_in_the_class_leaves_the_trigger_at_zero(self) -> None:
        bright = torch.full((1, *RGB), 230, dtype=torch.uint8)
        found = search(Smooth(start_label=str(GREEN), fool=0.1), torch.cat((bright, dim())))
        assert found["trigger"].isfinite().all()
        assert found["trigger"].max() == torch.tensor(0.2)
        with pytest.raises(benchkit.BenchkitError, match="class 2"):
            search(Smooth(start_label=str(GREEN)), bright)

    def test_gates(self) -> None:
        # An image that the trigger turned green has been fooled, but it is not in the class that is sought.
        steps = {}
        for gate in ("released", "paper"):
            model = Counting()
            search(Smooth(gate=gate, aim="target", target=CHECKED, fool=1, stall=0, max_passes=2), model=model)
            steps[gate] = model.asked
        assert steps["released"] < steps["paper"]

    def test_stall_ends_a_search_that_gets_nowhere(self) -> None:
        endless = {"start_label": str(GREEN), "fool": 1.0}
        assert search(Smooth(**endless, stall=2))["passes"] == 2  # type: ignore[arg-type]
        assert search(Smooth(**endless, stall=0, max_passes=6))["passes"] == 6  # type: ignore[arg-type]

    def test_uses_n_images_of_the_training_set(self) -> None:
        found = search(Smooth(n_images=5, start_label=str(GREEN)))
        assert float(found["fooling"]) * 5 == pytest.approx(round(float(found["fooling"]) * 5))

    def test_repeats_and_leaves_the_model_alone(self) -> None:
        model = Meters()
        before = copy.deepcopy(model.state_dict())
        attack = Smooth(start_label=str(CHECKED))
        first, again, other = (search(attack, seed=seed, model=model) for seed in (1, 1, 2))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["trigger"], other["trigger"])
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())

    def test_without_a_model_it_says_so(self) -> None:
        with pytest.raises(benchkit.ContractError, match=r"scene\.model"):
            Smooth().prepare(scene())


class TestAim:
    prepared = {"trigger": torch.zeros(RGB) + 0.1, "label": torch.tensor(GREEN)}

    def test_victims_learn_the_dominant_label(self) -> None:
        attack, here = Smooth(), scene(prepared=self.prepared)
        assert attack.target_labels(torch.tensor([0, 1, 2]), here).tolist() == [GREEN] * 3
        poisoned = attack.poison(here.clean, here)
        assert poisoned.data.labels[poisoned.mask].tolist() == [GREEN] * 20

    def test_aim_target_searches_for_it_and_keeps_to_it(self) -> None:
        attack = Smooth(aim="target", target=CHECKED, max_passes=2)
        assert search(attack)["label"] == CHECKED
        assert attack.target_labels(torch.tensor([0, 2]), scene(prepared=self.prepared)).tolist() == [CHECKED] * 2

    def test_all_to_all_is_left_to_the_mapping(self) -> None:
        labels = Smooth(mapping="all-to-all").target_labels(torch.tensor([0, 2]), scene(prepared=self.prepared))
        assert labels.tolist() == [1, 0]

    @pytest.mark.parametrize("word", ["10", "frog", "-1"])
    def test_start_labels_that_are_no_class_are_refused(self, word: str) -> None:
        assert f"start_label={word}" in str(Smooth(start_label=word).check(RGB, 10))
        assert Smooth(start_label="9").check(RGB, 10) is None


class TestFilter:
    def test_without_end_it_comes_to_the_dome(self) -> None:
        row = dome()[13]
        assert row.argmax() == 13
        for index, value in DOME.items():
            assert row[index].item() == pytest.approx(value, abs=2e-3)

    def test_spread(self) -> None:
        assert spread(torch.tensor([[[-1.0, 1.0, 3.0]]]), 0.2).flatten().tolist() == pytest.approx([0, 0.1, 0.2])
        assert not spread(torch.full((1, 2, 2), 7.0), 0.2).any()


class TestInsertion:
    @staticmethod
    def put(images: Tensor, trigger: Tensor, **params: str) -> list[int]:
        attack = Smooth(**params)  # type: ignore[arg-type]
        flat: list[int] = attack.stamp(images, scene(images, prepared={"trigger": trigger})).flatten().tolist()
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
        for params in ({}, {"insertion": "clip"}, {"quantise": "round"}):
            both = [kind(**params).stamp(images, scene(prepared=prepared)) for kind in (Filtered, Smooth)]  # type: ignore[arg-type]
            assert torch.equal(*both)


class TestGanTri:
    @staticmethod
    def change(attack: GanTri, images: Tensor, seed: int = 0) -> Tensor:
        prepared = attack.prepare(scene(images, seed=seed))
        return attack.stamp(images, scene(images, prepared=prepared)).float() - images.float()

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
        here = scene(images, prepared=attack.prepare(scene(images)))
        alone = torch.cat([attack.stamp(image[None], here) for image in images])
        assert (attack.stamp(images, here).int() - alone.int()).abs().max() <= 1

    def test_small_images_are_refused_unless_asked_for(self) -> None:
        assert "gan-tri:min_side=32" in str(GanTri().check(RGB, 10))
        assert GanTri(min_side=32).check(RGB, 10) is None
        assert GanTri().check((3, 64, 80), 10) is None


class TestControl:
    @staticmethod
    def of(images: Tensor, **params: Any) -> Tensor:
        return Control(**params).stamp(images, scene(images))

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
        here = scene()
        poisoned = Control().poison(here.clean, here)
        assert Control.benign
        assert not poisoned.mask.any()
        assert poisoned.data is here.clean
