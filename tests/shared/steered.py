"""What a steering makes of a batch, without a training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import benchkit


def step_of(images: Tensor, labels: Tensor, rows: Tensor, model: Any = None) -> benchkit.Step:
    """Return the first step of a training of one step; its model may be left out where nobody asks it."""
    return benchkit.Step(rows, images, labels, model, number=0, total=1, epoch=0.0)


def steered(steering: benchkit.Steering, images: Tensor, labels: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the images and labels of the step that ``batch`` returns."""
    made = steering.batch(step_of(images, labels, rows))
    return made.images, made.labels
