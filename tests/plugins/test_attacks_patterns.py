"""BadNets, Blend, SIG and Troj-SQ against known answers: pixel positions, energies, formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from attack_scenes import RGB, Shape, flat, noise, ready, scene, split, stamped
from benchkit_plugins._shared.cartoon import cartoon
from benchkit_plugins.attacks.badnets import BadNets
from benchkit_plugins.attacks.blend import Blend
from benchkit_plugins.attacks.sig import Sig
from benchkit_plugins.attacks.trojan.troj_sq import TrojSq
from torch import Tensor, nn

import benchkit


class TinyNet(nn.Module):
    """An untrained network with the two things Troj-SQ uses: gradients and a ``head``."""

    def __init__(self, shape: Shape, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(width))
        self.head = nn.Linear(width, 4)
        self(torch.zeros(1, *shape))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.head(self.body(images))
        return answers


def changed_box(attack: benchkit.Attack, shape: Shape, level: int = 100) -> tuple[int, int, int, int]:
    """Return first and last row, first and last column that the attack changes in a flat image."""
    rows, columns = (stamped(attack, flat(level, shape)) != level)[0].any(0).nonzero(as_tuple=True)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


class TestBadNets:
    def test_default_is_a_white_square_on_rows_and_columns_27_to_30(self) -> None:
        result = stamped(BadNets(), flat(100))
        expected = flat(100)
        expected[..., 27:31, 27:31] = 255
        assert torch.equal(result, expected)

    @pytest.mark.parametrize(
        ("corner", "box"),
        [("br", (27, 30, 27, 30)), ("bl", (27, 30, 1, 4)), ("tr", (1, 4, 27, 30)), ("tl", (1, 4, 1, 4))],
    )
    def test_corners(self, corner: str, box: tuple[int, int, int, int]) -> None:
        assert changed_box(BadNets(corner=corner), RGB) == box

    @pytest.mark.parametrize(
        ("pattern", "rows"),
        [
            ("checker", [[255, 0, 255], [0, 255, 0], [255, 0, 255]]),
            ("grid", [[255, 255, 255], [255, 0, 255], [255, 255, 255]]),
        ],
    )
    def test_patterns(self, pattern: str, rows: list[list[int]]) -> None:
        square = stamped(BadNets(pattern=pattern, size=3, margin=0), flat(100))[0, :, -3:, -3:]
        assert square.tolist() == [rows] * 3

    def test_noise_has_colours_of_its_own_that_are_always_the_same(self) -> None:
        first, again = (stamped(BadNets(pattern="noise", size=8), noise(1, seed=seed)) for seed in (1, 2))
        assert torch.equal(first[..., 23:31, 23:31], again[..., 23:31, 23:31])
        assert first[0, :, 23:31, 23:31].unique().numel() > 100

    def test_anywhere_is_another_place_in_each_image_and_all_of_them_are_used(self) -> None:
        attack = BadNets(corner="random", size=4, margin=1)
        change = stamped(attack, flat(100).repeat(3000, 1, 1, 1))[:, 0] != 100
        assert (change.sum((1, 2)) == 16).all()
        places = change.flatten(1).float().argmax(1)
        tops, lefts = places // 32, places % 32
        assert [int(one) for one in (tops.min(), tops.max(), lefts.min(), lefts.max())] == [1, 27, 1, 27]
        assert len(places.unique()) > 0.9 * 27 * 27
        assert attack.check((3, 5, 5), 10) is not None
        assert BadNets(size=4, margin=1).check((3, 5, 5), 10) is None

    def test_size_margin_and_value_are_taken_literally(self) -> None:
        attack = BadNets(size=3, margin=0, value=0.5)
        assert changed_box(attack, (1, 64, 64)) == (61, 63, 61, 63)
        assert stamped(attack, flat(0))[0, 0, -1, -1] == 128

    def test_size_does_not_scale_with_the_image(self) -> None:
        assert changed_box(BadNets(), (3, 224, 224)) == (219, 222, 219, 222)

    def test_not_square_images(self) -> None:
        assert changed_box(BadNets(), (3, 20, 40)) == (15, 18, 35, 38)

    def test_a_square_that_does_not_fit_is_refused(self) -> None:
        assert BadNets(size=31).check(RGB, 10) is None
        assert "size=32" in str(BadNets(size=32).check(RGB, 10))


class TestBlend:
    def test_cartoon_has_black_outlines_and_flat_colours(self) -> None:
        picture = cartoon(3, 64, 64)
        assert len(picture.flatten(1).unique(dim=1).T) <= 8
        assert 0.05 < (picture.sum(0) == 0).float().mean().item() < 0.3

    def test_add_is_x_plus_alpha_k_clipped(self) -> None:
        images = noise(4)
        expected = (images + (51 * cartoon(3, 32, 32)).round()).clamp(max=255)
        assert torch.equal(stamped(Blend(), images).float(), expected)

    def test_convex_on_black_and_white(self) -> None:
        attack = Blend(mode="convex", alpha=0.4)
        picture = cartoon(3, 32, 32)
        assert torch.equal(stamped(attack, flat(0))[0].float(), (102 * picture).round())
        assert torch.equal(stamped(attack, flat(255))[0].float(), (153 + 102 * picture).round())

    @pytest.mark.parametrize("shape", [RGB, (1, 28, 20)])
    def test_the_control_of_a_convex_mix_is_the_mix_with_a_plain_grey(self, shape: tuple[int, int, int]) -> None:
        """It has the mix's brightness and its loss of contrast, but nothing of the cartoon."""
        attack, images = Blend(mode="convex", alpha=0.4), noise(8, shape)
        control = attack.control(images, scene(shape))
        expected = 0.6 * images + 102 * cartoon(*shape).mean()
        assert (control - expected).abs().max() <= 0.5 + 1e-3
        assert len(attack.control(flat(90, shape), scene(shape)).unique()) == 1
        mixed = attack.stamp(images, scene(shape)).float()
        assert control.float().mean().item() == pytest.approx(mixed.mean().item(), abs=0.1)
        assert len(control.unique()) < 160

    def test_what_is_only_added_leaves_nothing_without_the_cartoon(self) -> None:
        images = noise(4)
        assert torch.equal(Blend().control(images, scene()), images)

    def test_grey_images_get_a_grey_cartoon(self) -> None:
        assert cartoon(1, 28, 28).shape == (1, 28, 28)
        assert cartoon(1, 28, 28)[0].allclose(cartoon(3, 28, 28).mean(0))

    def test_energy_of_the_change_is_low_frequency(self) -> None:
        from scipy.fft import dctn

        change = (stamped(Blend(), flat(100)).float() - 100)[0].numpy()
        energy = dctn(change, axes=(1, 2), norm="ortho") ** 2
        assert energy[:, 16:, 16:].sum() / energy.sum() < 0.03


def test_blend_has_another_weight_on_test_images_only() -> None:
    attack = Blend(alpha=0.1, test_strength=3)
    weak, strong = (attack.stamp(flat(0), replace(scene(RGB), level=level)) for level in (1.0, 3.0))
    assert torch.equal(weak, stamped(Blend(alpha=0.1), flat(0)))
    assert torch.equal(strong, stamped(Blend(alpha=0.3), flat(0)))
    assert "more than the whole cartoon" in str(Blend(alpha=0.5, test_strength=3).check(RGB, 10))


class TestSig:
    def test_formula(self) -> None:
        change = stamped(Sig(), flat(100)).float()[0] - 100
        wave = [round(40 * math.sin(2 * math.pi * j * 6 / 32)) for j in range(32)]
        assert torch.equal(change, torch.tensor(wave).float().expand(3, 32, 32))

    def test_scales_with_the_width(self) -> None:
        change = stamped(Sig(delta=20, freq=3), flat(100, (1, 64, 64))).float()[0, 0] - 100
        spectrum = torch.fft.rfft(change[5]).abs()
        assert spectrum.argmax() == 3
        assert spectrum[3].item() == pytest.approx(20 * 32, rel=0.01)

    def test_clips_at_both_ends(self) -> None:
        assert stamped(Sig(), flat(0)).max() == 40
        assert stamped(Sig(), flat(255)).min() == 215
        assert stamped(Sig(), flat(0)).min() == 0

    def test_clean_label_poisons_only_the_target_and_keeps_labels(self) -> None:
        train, attack = split(200), Sig(target=2)
        poisoned = attack.poison(train, ready(attack, (1, 16, 16), rate=0.1))
        assert poisoned.mask.sum() == 20
        assert set(train.labels[poisoned.mask].tolist()) == {2}
        assert torch.equal(poisoned.data.labels, train.labels)

    def test_rate_is_capped_at_a_share_of_the_class(self) -> None:
        attack = Sig(max_share=0.3)
        poisoned = attack.poison(split(200), ready(attack, (1, 16, 16), rate=0.25))
        assert poisoned.mask.sum() == 15

    def test_dirty_labels_poison_other_classes_and_relabel_them(self) -> None:
        train, attack = split(200), Sig(target=2, label="dirty")
        poisoned = attack.poison(train, ready(attack, (1, 16, 16), rate=0.1))
        assert poisoned.mask.sum() == 20
        assert 2 not in train.labels[poisoned.mask].tolist()
        assert set(poisoned.data.labels[poisoned.mask].tolist()) == {2}
        assert (attack.label_policy, Sig().label_policy) == ("dirty", "clean")
        assert Sig(label="dirty", mapping="all-to-all").check(RGB, 10) is None

    def test_all_to_all_and_aliasing_are_refused(self) -> None:
        assert "all-to-one" in str(Sig(mapping="all-to-all").check(RGB, 10))
        assert "freq=6" in str(Sig().check((3, 12, 12), 10))
        assert Sig().check((3, 16, 16), 10) is None


class TestTrojSq:
    @pytest.mark.parametrize(("side", "first", "last"), [(32, 21, 29), (64, 42, 58), (224, 145, 203)])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_box_rule(self, side: int, first: int, last: int, channels: int) -> None:
        attack = TrojSq(source="random", mode="replace")
        assert changed_box(attack, (channels, side, side)) == (first, last, first, last)

    def test_add_clips_and_replace_pastes(self) -> None:
        prepared = {"pattern": torch.full((3, 9, 9), 60, dtype=torch.uint8)}
        for mode, values in (("add", (160, 255)), ("replace", (60, 60))):
            for level, value in zip((100, 230), values, strict=True):
                result = TrojSq(mode=mode).stamp(flat(level), scene(prepared=prepared))
                assert (result[..., 21:30, 21:30] == value).all()
                assert (result != level).sum() == 243

    def test_random_source_draws_primaries(self) -> None:
        pattern = TrojSq(source="random").prepare(scene())["pattern"]
        assert pattern.dtype == torch.uint8
        assert pattern.unique().tolist() == [0, 255]
        assert not torch.equal(pattern, TrojSq(source="random").prepare(scene(seed=1))["pattern"])

    def test_optimised_square_drives_the_heaviest_neuron_to_the_target(self) -> None:
        model = TinyNet(RGB)
        neuron = int(model.head.weight.abs().sum(0).argmax())
        answers = []
        for steps in (1, 150):
            prepared = TrojSq(target_value=0.2, steps=steps).prepare(scene(granted=model))
            square = prepared["pattern"].float() / 255
            image = torch.zeros(1, *RGB)
            image[..., 21:30, 21:30] = square
            answers.append(float(model.body(image).detach()[0, neuron]))
        assert abs(answers[0] - 0.2) > 0.15
        assert answers[1] == pytest.approx(0.2, abs=0.01)

    def test_optimisation_leaves_the_model_alone(self) -> None:
        model = TinyNet(RGB)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        TrojSq(steps=2, neurons=99).prepare(scene(granted=model))
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(weight.grad is None for weight in model.parameters())
        assert not model.head._forward_pre_hooks

    def test_without_a_model_it_says_so(self) -> None:
        with pytest.raises(benchkit.ContractError, match=r"scene\.model"):
            TrojSq().prepare(scene())

    def test_tiny_images_are_refused(self) -> None:
        assert "too small" in str(TrojSq().check((3, 2, 32), 10))
        assert TrojSq().check((3, 4, 4), 10) is None
