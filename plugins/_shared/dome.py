"""The shape to which Algorithm 1 of Zeng et al. (ICCV 2021) converges: the leading eigenvector of a low-pass filter."""

from __future__ import annotations

import torch
from torch import Tensor

from benchkit.ops.frequency import low_pass

POWER_STEPS = 60
"""The second eigenvalue of the filter along one axis is 0.72 of the first: 0.72^60 < 1e-8."""


def eigen_dome(height: int, width: int) -> Tensor:
    """Return the dominant eigenvector of the filter, scaled to a largest value of 1: float32 (height, width)."""
    dome = torch.ones(height, width, dtype=torch.float64)
    for _ in range(POWER_STEPS):
        dome = low_pass(dome)
        dome = dome / dome.max()
    return dome.float()
