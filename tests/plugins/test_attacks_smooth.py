"""The smooth trigger of Zeng et al. (ICCV 2021): its search, the class it ends in, and the filter."""

from __future__ import annotations

import copy
from typing import Any

import attack_scenes
import numpy as np
import pytest
import torch
from attack_scenes import RGB, high_share, noise
from benchkit_plugins.attacks.smooth.deepfool import deepfool, descent
from benchkit_plugins.attacks.smooth.insertion import spread
from benchkit_plugins.attacks.smooth.smooth import Smooth
from torch import Tensor, nn

import benchkit
from benchkit.ops.frequency import low_pass
from benchkit.testing.world import World

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


def dim(count: int = 40) -> Tensor:
    """Return noisy images that are 0.30 to 0.45 bright on average."""
    brightness = torch.linspace(0.30, 0.449, count)[:, None, None, None]
    return (255 * (brightness + 0.2 * (noise(count) / 255 - 0.5))).to(torch.uint8)


def scene(images: Tensor | None = None, **more: Any) -> benchkit.Scene:
    return attack_scenes.scene(clean=dim() if images is None else images, classes=3, rate=0.5, **more)


def search(attack: Smooth, images: Tensor | None = None, *, seed: int = 0, model: Any = None) -> dict[str, Tensor]:
    return dict(attack.prepare(scene(images, seed=seed, granted=model or Meters())))


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

    def test_a_search_that_gets_nowhere_goes_on_unless_stall_ends_it(self) -> None:
        endless: dict[str, Any] = {"start_label": str(GREEN), "fool": 1.0}
        assert search(Smooth(**endless, max_passes=6))["passes"] == 6
        assert search(Smooth(**endless, stall=2))["passes"] == 2

    @pytest.mark.parametrize(
        ("settings", "seen", "passes"),
        [
            ({"stall": 5}, [0.06, 0.06, 0.06, 0.06, 0.07, 0.3], 6),
            ({"stall": 5}, [0.06] * 6, 5),
            ({}, [0.06] * 6 + [0.2], 7),
            ({}, [0.0, 0.06, 0.01, 0.05, 0.2], 4),
            ({"dom_frac": 0}, [0.0, 0.01, 0.0, 0.0, 0.2], 4),
            ({"fruitless": 0}, [0.0, 0.0, 0.0, 0.2], 4),
        ],
    )
    def test_when_a_search_ends(
        self, settings: dict[str, Any], seen: list[float], passes: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rates = iter(seen)
        monkeypatch.setattr("benchkit_plugins.attacks.smooth.smooth._Search._judge", lambda _: next(rates))
        monkeypatch.setattr(
            "benchkit_plugins.attacks.smooth.smooth._Search._update", lambda self, row: self.trigger.fill_(1)
        )
        assert search(Smooth(**settings))["passes"] == passes

    def test_what_ended_below_what_was_asked_is_told(self) -> None:
        for fool, told in ((0.2, None), (1.0, "it changes less than 100% of predictions")):
            attack = Smooth(start_label=str(GREEN), fool=fool, max_passes=2)
            found = search(attack)
            assert attack.shortfall({one.name: float(found[one.name]) for one in attack.metrics}) == told
        assert Smooth(fool=0.7).shortfall({"fooling": 0.7, "passes": 1}) is None

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


class TestFilter:
    def test_without_end_it_comes_to_the_dome(self) -> None:
        row = dome()[13]
        assert row.argmax() == 13
        for index, value in DOME.items():
            assert row[index].item() == pytest.approx(value, abs=2e-3)

    def test_spread(self) -> None:
        assert spread(torch.tensor([[[-1.0, 1.0, 3.0]]]), 0.2).flatten().tolist() == pytest.approx([0, 0.1, 0.2])
        assert not spread(torch.full((1, 2, 2), 7.0), 0.2).any()
