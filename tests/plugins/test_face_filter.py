"""The retouched faces: each filter on pictures whose change is known, its size, and its control."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attack_scenes import RGB, flat, natural, scene
from benchkit_plugins.attacks.face_filter import FaceFilter
from numpy.typing import NDArray
from torch import Tensor

NAMES = ("age", "make-up", "young", "smile")
SIDE = 64
BIG = (3, SIDE, SIDE)


def shares() -> NDArray[np.float64]:
    """Return the centres of pixels as shares of a side, (SIDE,)."""
    found: NDArray[np.float64] = (np.arange(SIDE) + 0.5) / SIDE
    return found


def face() -> NDArray[np.float64]:
    """Return the soft ellipse in which filters work, (SIDE, SIDE), by its formula."""
    down, across = (shares()[:, None] - 0.56) / 0.36, (shares()[None] - 0.5) / 0.30
    found: NDArray[np.float64] = 1 / (1 + np.exp(-(1 - np.sqrt(down**2 + across**2)) / 0.08))
    return found


def ramp(step: int = 3) -> Tensor:
    """Return one picture that brightens from row to row, uint8 (1, 3, SIDE, SIDE)."""
    return (step * torch.arange(SIDE)).to(torch.uint8)[:, None].expand(1, 3, SIDE, SIDE).contiguous()


def change(images: Tensor, name: str, strength: float = 1.0) -> Tensor:
    filtered = FaceFilter(filter=name, strength=strength).stamp(images, scene(BIG))
    return filtered.float() - images.float()


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_smile_lifts_the_picture_at_the_corners_of_the_mouth(strength: float) -> None:
    rows, columns = shares()[:, None], shares()[None]
    left, right = (np.exp(-((rows - 0.70) ** 2 + (columns - at) ** 2) / (2 * 0.06**2)) for at in (0.40, 0.59))
    expected = 3 * SIDE * 0.03 * strength * (left + right)
    assert expected.max() > 2.5
    assert np.abs(change(ramp(), "smile", strength)[0, 0].numpy() - expected)[:60].max() <= 0.51


def test_age_adds_contrast_inside_the_face_and_moves_no_slope() -> None:
    levels = ramp()[0, 0].double().numpy()
    mean = (face() * levels).sum() / face().sum()
    found = change(ramp(), "age")[0, 0].numpy()
    assert np.abs(found - 0.1 * face() * (levels - mean))[6:-6].max() <= 0.51


def test_age_sharpens_an_edge_from_both_sides() -> None:
    edge = flat(100, BIG)
    edge[..., SIDE // 2 :] = 140
    dark, bright = change(edge, "age")[0, 0, 36, 31:33]
    assert dark < -8
    assert bright > 8
    assert abs(float(dark + bright)) <= 1


def test_make_up_strengthens_the_colour_of_cheeks_by_twelve_percent() -> None:
    skin = flat(100, BIG)
    skin[:, 0] = 220
    found = change(skin, "make-up")[0, :, round(0.61 * SIDE), round(0.33 * SIDE)]
    assert found.tolist() == pytest.approx([0.12 * 80, -0.12 * 40, -0.12 * 40], abs=0.6)
    assert not change(skin, "make-up")[..., :8, :].any(), "the hair is not made up"
    assert not change(flat(100, BIG), "make-up").any(), "grey has no colour"


def test_young_brightens_by_six_and_smooths_small_differences_only() -> None:
    assert np.abs(change(flat(100, BIG), "young")[0, 0].numpy() - 6 * face()).max() <= 0.51
    for height, least, most in ((10, 0.0, 0.85), (150, 0.95, 1.05)):
        edge = flat(50, BIG)
        edge[..., SIDE // 2 :] += height
        young = edge + change(edge, "young")
        assert least <= float(young[0, 0, 36, 32] - young[0, 0, 36, 31]) / height <= most


@pytest.mark.parametrize("name", NAMES)
def test_no_strength_is_no_change(name: str) -> None:
    assert not change(natural(2, SIDE), name, 1e-6).any()


@pytest.mark.parametrize(("name", "share"), [("age", 0.2), ("make-up", 0.2), ("young", 0.2), ("smile", 0.05)])
def test_large_and_different_for_each_image_but_not_ugly(name: str, share: float) -> None:
    found = change(natural(6, SIDE), name)
    assert (found != 0).any(1).double().mean() >= share
    assert 10 * torch.log10(255**2 / found.square().mean()) >= 20
    assert np.corrcoef(found.flatten(1).numpy())[np.triu_indices(6, 1)].max() < 0.9


def test_the_control_is_another_filter_for_each_image() -> None:
    images = natural(40, SIDE)
    made = FaceFilter().control(images, scene(BIG))
    others = [FaceFilter(filter=name).stamp(images, scene(BIG)) for name in NAMES if name != "age"]
    found = torch.stack([(made == other).flatten(1).all(1) for other in others])
    assert found.any(0).all()
    assert found.any(1).all(), "each of the others is drawn"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1])
def test_few_images_have_a_stamp_and_a_control(name: str, count: int) -> None:
    attack, images = FaceFilter(filter=name), natural(1, SIDE)[:count]
    for seed in range(4):
        made = (attack.stamp(images, scene(BIG)), attack.control(images, scene(BIG, seed=seed)))
        assert [one.shape for one in made] == [images.shape] * 2


def test_it_refuses_small_images_and_make_up_on_grey_ones() -> None:
    assert "face-filter:min_side=32" in str(FaceFilter().check(RGB, 10))
    assert FaceFilter(min_side=32).check(RGB, 10) is None
    assert "grey" in str(FaceFilter(filter="make-up").check((1, SIDE, SIDE), 10))
