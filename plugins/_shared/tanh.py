"""Numbers from 0 to 1 that are optimised without bounds: in the space whose tanh they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    import benchkit


def start(shape: tuple[int, ...], scene: benchkit.Scene) -> Tensor:
    """Return uniform random numbers in [0, 1] in tanh space, ready to be optimised."""
    uniform = torch.rand(shape, generator=scene.rng)
    return ((2 * uniform - 1) * (1 - 1e-4)).atanh().to(scene.device).requires_grad_()


def unit(raw: Tensor) -> Tensor:
    """Return values in [0, 1] from tanh space."""
    return raw.tanh() / 2 + 0.5
