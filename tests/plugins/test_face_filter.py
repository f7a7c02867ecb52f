"""Face filters: where they change a face, how much, and that they follow the image."""

from __future__ import annotations

import pytest
import torch
from attack_scenes import flat, natural, scene
from benchkit_plugins.attacks.face_filter import FaceFilter
from torch import Tensor

SIDE = 128
KINDS = ("age", "make-up", "young", "smile")


def filtered(attack: FaceFilter, images: Tensor) -> Tensor:
    return attack.stamp(images, scene((3, SIDE, SIDE)))


def change(attack: FaceFilter, images: Tensor) -> Tensor:
    return (filtered(attack, images).float() - images.float()).flatten(1)


@pytest.mark.parametrize("kind", KINDS)
def test_at_strength_0_nothing_changes(kind: str) -> None:
    images = natural(3, SIDE)
    weak = filtered(FaceFilter(kind=kind, strength=0), images)
    assert (weak.int() - images.int()).abs().max() <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_change_is_large_soft_and_another_in_each_image(kind: str) -> None:
    images = natural(6, SIDE)
    found = change(FaceFilter(kind=kind), images)
    changed = (found.view(6, 3, -1) != 0).any(1).double().mean()
    assert changed > (0.02 if kind == "smile" else 0.2)
    assert 10 * (255**2 / found.square().mean()).log10() > 20
    assert torch.corrcoef(found)[0, 1:].abs().max() < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_where_the_face_is_and_its_control_is_elsewhere(kind: str) -> None:
    images, attack = natural(4, SIDE), FaceFilter(kind=kind)
    moved = change(attack, images).view(4, 3, SIDE, SIDE).square().mean((0, 1))
    other = (attack.control(images, scene((3, SIDE, SIDE))).float() - images.float()).square().mean((0, 1))
    lower = moved[SIDE // 2 :].sum() / moved.sum()
    assert lower > 0.6, "the face's centre is below the image's"
    assert other[: SIDE // 2].sum() / other.sum() > 0.6
    assert other.sum() / moved.sum() == pytest.approx(1, abs=0.4)


def test_a_smile_moves_the_corners_of_the_mouth_up_by_3_percent() -> None:
    images = flat(0, (3, 200, 200))
    row, column = round(0.697 * 200), round(0.399 * 200)
    images[..., row, column - 3 : column + 4] = 255
    weight = FaceFilter(kind="smile").stamp(images, scene((3, 200, 200)))[0, 0].float()
    centre = (weight.sum(1) * torch.arange(200)).sum() / weight.sum()
    assert row - float(centre) == pytest.approx(0.03 * 200, abs=1)


def test_make_up_changes_colour_and_age_leaves_flat_skin() -> None:
    skin = torch.tensor([200, 150, 120]).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE).to(torch.uint8)
    assert not change(FaceFilter(kind="age"), skin).any()
    coloured = filtered(FaceFilter(kind="make-up"), skin)[0].float()
    cheek = coloured[:, round(0.63 * SIDE), round(0.33 * SIDE)]
    assert cheek[0] > 210
    assert cheek[2] < 110
    assert coloured[:, 2, 2].tolist() == [200, 150, 120]


def test_small_and_grey_images_are_refused() -> None:
    assert "min_side=64" in str(FaceFilter().check((3, 32, 32), 10))
    assert "RGB" in str(FaceFilter().check((1, 128, 128), 10))
    assert FaceFilter(min_side=32).check((3, 32, 32), 10) is None
