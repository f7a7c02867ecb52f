"""What the frequency detector sees of large images: the power in bands, worked out by hand, and what that finds."""

from __future__ import annotations

import pytest
import torch
from attack_scenes import seeded
from benchkit_plugins.defenses.freq_detector.bands import band_powers, band_shape, edges
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector
from benchkit_plugins.defenses.freq_detector.manipulations import perturb
from benchkit_plugins.defenses.freq_detector.net import features
from freq_cases import auroc, made, prepared, scene
from torch import Tensor

from benchkit.ops.frequency import dct2, idct2

SIDE = 96


def photographs(count: int, seed: int, side: int = SIDE) -> Tensor:
    """Return photograph-like images: amplitude 1/f, of any contrast and sharpness, colour only at low frequencies."""
    rng = seeded(seed)
    f = torch.hypot(torch.arange(side)[:, None] + 0.5, torch.arange(side) + 0.5)
    grey, colour = torch.randn(count, 1, side, side, generator=rng), torch.randn(count, 3, side, side, generator=rng)
    level, contrast, blur = torch.rand(3, count, 1, 1, 1, generator=rng)
    sharp = torch.exp(-(((0.3 + blur) * 2 * f / side) ** 2))
    waves = idct2((grey + 0.3 * colour * (f < side / 6)) * sharp / f)
    grain = torch.randn(count, 3, side, side, generator=rng)
    images: Tensor = 60 + 120 * level + (3 + 9 * contrast) * side * waves + grain
    return images.clamp(0, 255).to(torch.uint8)


class TestBands:
    def test_they_cover_every_frequency_once(self) -> None:
        assert edges(224) == [0, 1, 2, 5, 8, 12, 19, 30, 45, 67, 101, 150, 224]
        assert edges(8) == list(range(9))
        for side in range(8, 600):
            at = edges(side)
            assert (at[0], at[1], at[-1]) == (0, 1, side)
            assert at == sorted(set(at))
            assert len(at) <= 13

    def test_power_is_the_mean_in_each_band_of_each_channel_and_difference(self) -> None:
        coefficients = 10 * torch.randn(2, 3, 24, 40, generator=seeded())
        found, (down, across) = band_powers(coefficients), (edges(24), edges(40))
        assert found.shape == (2, *band_shape((3, 24, 40))) == (2, 6, len(down) - 1, len(across) - 1)
        planes = [coefficients[:, 0], coefficients[:, 1], coefficients[:, 2]]
        planes += [planes[0] - planes[1], planes[0] - planes[2], planes[1] - planes[2]]
        for plane, seen in zip(planes, found.unbind(1), strict=True):
            for i, j in ((0, 0), (3, 0), (5, 7), (len(down) - 2, len(across) - 2)):
                part = plane[:, down[i] : down[i + 1], across[j] : across[j + 1]]
                torch.testing.assert_close(seen[:, i, j], (part.square().mean((1, 2)) + 0.01).log())

    def test_grey_images_have_one_plane_and_flat_ones_the_floor(self) -> None:
        flat = torch.full((3, 1, 16, 16), 7, dtype=torch.uint8)
        seen = features(flat, "dct-bands")
        assert torch.equal(seen, band_powers(dct2(flat)))
        assert seen.shape == (3, *band_shape((1, 16, 16)))
        assert seen[:, :, 1:, 1:].unique().item() == pytest.approx(-4.605, abs=1e-3)


class TestDefaults:
    @pytest.mark.parametrize(
        ("text", "side", "expected"),
        [
            ("", 160, ("cnn6", "dct")),
            ("", 161, ("linear", "dct-bands")),
            (":arch=cnn6", 224, ("cnn6", "dct")),
            (":arch=svm", 32, ("svm", "dct-bands")),
            (":arch=linear,feature=dct-log", 32, ("linear", "dct-log")),
            (":feature=image", 224, ("linear", "image")),
        ],
    )
    def test_large_images_get_a_linear_classifier_and_linear_ones_bands(
        self, text: str, side: int, expected: tuple[str, str]
    ) -> None:
        assert made(f"freq-detector{text}")._seen((3, side, side)) == expected

    def test_the_network_takes_no_bands(self) -> None:
        for detector in (FreqDetector(feature="dct-bands"), FreqDetector(arch="cnn6", feature="dct-bands")):
            assert "is for arch=linear and arch=svm" in str(detector.check((3, 32, 32), 10))
        assert FreqDetector(feature="dct-bands").check((3, 224, 224), 10) is None


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return photographs(100, seed=2)


@pytest.mark.parametrize("arch", ["linear", "svm"])
def test_few_large_images_suffice_for_bands_and_not_for_coefficients(arch: str, clean: Tensor) -> None:
    """Squares add power at high frequencies; which sign a coefficient has depends on where they are."""
    few = photographs(80, seed=1)
    block, picture, squares = clean.clone(), clean.int(), perturb(clean, seeded(3), kinds=("white",))
    block[..., -13:-1, -13:-1] = 255
    cartoon = 60 * (torch.rand(3, SIDE // 8, SIDE // 8, generator=seeded(4)) < 0.5).repeat_interleave(8, 1)
    picture = (picture + cartoon.repeat_interleave(8, 2).int()).clamp(max=255).to(torch.uint8)
    found = {}
    for feature in ("dct-bands", "dct"):
        detector = made(f"freq-detector:arch={arch},feature={feature}")
        where = prepared(detector, few)
        found[feature] = [auroc(detector, where, clean, stamped) for stamped in (block, squares, picture)]
    assert min(found["dct-bands"]) > 0.95
    assert max(found["dct"][:2]) < 0.7


def test_few_images_are_learned_in_more_passes() -> None:
    detector, images = FreqDetector(arch="linear"), photographs(40, seed=1, side=16)
    learned = [
        one.prepare(scene(images))["net.layer.weight"].norm()
        for one in (detector, made("freq-detector:arch=linear,epochs=1"))
    ]
    assert float(learned[0]) > 3 * float(learned[1])
