"""The camera of physical attacks: how far it moves what it sees."""

from __future__ import annotations

import pytest
import torch
from attack_scenes import scene
from benchkit_plugins.attacks.physical import Physical
from torch import Tensor


def moved(attack: Physical, height: int, width: int) -> Tensor:
    """Return how far a spot in the middle of an image moves, as shares of width and height: float (2000, 2)."""
    spot = torch.zeros(2000, 1, height, width, dtype=torch.uint8)
    spot[..., height // 2 - 2 : height // 2 + 3, width // 2 - 2 : width // 2 + 3] = 255
    seen = attack.rework(spot, spot, scene((1, height, width))).double()[:, 0]
    seen /= seen.sum((1, 2), keepdim=True)
    right, down = torch.arange(width) - width // 2, torch.arange(height) - height // 2
    return torch.stack([(seen.sum(1) @ right.double()) / width, (seen.sum(2) @ down.double()) / height], 1)


@pytest.mark.parametrize("degrees", [0.0, 180.0])
@pytest.mark.parametrize(("height", "width"), [(33, 33), (33, 65)])
@pytest.mark.parametrize("size", [0.5, 0.8, 1.5])
def test_a_shift_moves_what_is_seen_by_up_to_its_share_of_the_side(
    size: float, height: int, width: int, degrees: float
) -> None:
    """Whatever the scale and the turn: they are around the middle, and the shift comes after them."""
    attack = Physical(degrees=degrees, translate=0.2, shrink=size, grow=size, flip=False)
    shifts = moved(attack, height, width)
    assert shifts.amax(0).tolist() == pytest.approx([0.2, 0.2], abs=0.005)
    assert shifts.amin(0).tolist() == pytest.approx([-0.2, -0.2], abs=0.005)
    assert shifts.std(0).tolist() == pytest.approx([0.2 / 3**0.5] * 2, rel=0.05)
