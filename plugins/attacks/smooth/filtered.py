"""Filtered: an arbitrary pattern after a low-pass filter, the naive variant of Smooth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from benchkit_plugins._shared.cartoon import cartoon
from torch import Tensor

import benchkit

from .insertion import LowPassAttack, spread


@dataclass(frozen=True)
class Filtered(LowPassAttack):
    """Add a random patch or picture after a low-pass filter: no model, no search.

    Zeng et al. 2021, section 5, compare their smooth trigger with five of these: "random patches and nature images"
    through the same filter g. The paper does not say how they are drawn or scaled; here they span [0, amp] and are
    inserted like the trigger of Smooth.
    """

    name = "filtered"
    paper = "Zeng et al., ICCV 2021, Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective"

    base: str = benchkit.param(
        "patch", "what is filtered: a block of noise, or a part of a cartoon", choices=("patch", "picture")
    )
    variant: int = benchkit.param(0, "which of the patterns that can be drawn", ge=0)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw and filter the pattern: ``trigger``, float32 (C, H, W), spans [0, amp]."""
        seed = int(torch.randint(2**40, (), generator=scene.rng))
        rng = torch.Generator().manual_seed(seed + self.variant)
        pattern = _patch(scene.shape, rng) if self.base == "patch" else _view(scene.shape, rng)
        return {"trigger": spread(self.blurred(pattern), self.amp)}


def _below(limit: int, rng: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=rng))


def _patch(shape: tuple[int, int, int], rng: torch.Generator) -> Tensor:
    """Return a black image with a block of uniform noise, float32 (C, H, W): sides from a quarter to all of it."""
    channels, height, width = shape
    rows, columns = (side // 4 + _below(side - side // 4 + 1, rng) for side in (height, width))
    top, left = _below(height - rows + 1, rng), _below(width - columns + 1, rng)
    pattern = torch.zeros(shape)
    pattern[:, top : top + rows, left : left + columns] = torch.rand(channels, rows, columns, generator=rng)
    return pattern


def _view(shape: tuple[int, int, int], rng: torch.Generator) -> Tensor:
    """Return a part of the cartoon, float32 (C, H, W): a quarter of its area, mirrored at random."""
    channels, height, width = shape
    top, left = _below(height + 1, rng), _below(width + 1, rng)
    view = cartoon(channels, 2 * height, 2 * width)[:, top : top + height, left : left + width]
    return view.flip(2) if _below(2, rng) else view


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Filtered."""
    return [Filtered]
