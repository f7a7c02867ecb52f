"""Images and labels that are mixed or covered while a model is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import benchkit

if TYPE_CHECKING:
    from numpy.random import Generator


def draws(scene: benchkit.Scene) -> Generator:
    """Return a generator for a whole training, which follows from one draw of ``scene.rng``: torch's has no Beta."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=scene.rng)))


def softened(labels: Tensor, order: Tensor, kept: float, classes: int) -> Tensor:
    """Return ``kept`` of each label and 1 - ``kept`` of that of its partner, float32 (B, K).

    The cross-entropy with these labels is that mixture of the cross-entropies with both.

    Args:
        labels: int64 (B,).
        order: int64 (B,), the row of each image's partner.
        kept: the share of the image itself, in [0, 1].
        classes: number of classes K.
    """
    own = one_hot(labels, classes).float()
    return kept * own + (1 - kept) * own[order]


def boxes(shape: tuple[int, int], rows: Tensor, columns: Tensor, height: float, width: float) -> Tensor:
    """Return which pixels boxes around these centres cover, clipped at the border: bool (B, 1, H, W).

    Args:
        shape: (H, W).
        rows: int64 (B,), the row of each centre.
        columns: int64 (B,), its column.
        height: of each box, in pixels; it is rounded down to an even number, half of it on either side of the centre.
        width: the same.
    """
    down, across = (
        _covered(side, centres, int(extent) // 2)
        for side, centres, extent in zip(shape, (rows, columns), (height, width), strict=True)
    )
    return (down[:, :, None] & across[:, None, :])[:, None]


def _covered(side: int, centres: Tensor, half: int) -> Tensor:
    """Return which positions lie in an interval of twice this length around each centre, bool (B, side)."""
    away = torch.arange(side, device=centres.device) - centres[:, None]
    return (away >= -half) & (away < half)


class Mixing(benchkit.Steering, ABC):
    """The base of steerings that mix the images of each batch with those of the same batch in another order."""

    def __init__(self, scene: benchkit.Scene, alpha: float, prob: float = 1.0) -> None:
        self.classes, self.rng, self.draws = scene.classes, scene.rng, draws(scene)
        self.alpha, self.prob = alpha, prob

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with mixed images and labels, or with probability 1 - ``prob`` as it is."""
        if self.draws.random() >= self.prob:
            return step
        order = torch.randperm(len(step.labels), generator=self.rng).to(step.images.device)
        images, kept = self.mixed(step.floats, order, float(self.draws.beta(self.alpha, self.alpha)))
        return step.replaced(images=images, labels=softened(step.labels, order, kept, self.classes))

    @abstractmethod
    def mixed(self, images: Tensor, order: Tensor, share: float) -> tuple[Tensor, float]:
        """Return the mixtures, and the share of each image that is kept.

        Args:
            images: float32 (B, C, H, W) in [0, 1].
            order: int64 (B,), the partner of each image.
            share: what was drawn, Beta(alpha, alpha).
        """


class Boxes(Mixing):
    """CutMix: a box of each image comes from its partner; one box and one order for the whole batch."""

    def mixed(self, images: Tensor, order: Tensor, share: float) -> tuple[Tensor, float]:
        """Return images with a box of area 1 - ``share``, before it is clipped, and the share that is really kept."""
        height, width = images.shape[2:]
        centre = [torch.tensor([int(self.draws.integers(side))]) for side in (height, width)]
        extent = (1 - share) ** 0.5
        pasted = boxes((height, width), centre[0], centre[1], extent * height, extent * width)
        mixed = torch.where(pasted.to(images.device), images[order], images)
        return mixed, 1 - float(pasted.float().mean())


class Holes(benchkit.Steering):
    """Cutout: each image of a batch has its own hole of the mean colour.

    Args:
        size: side of the hole, as a share of the image's.
        rng: a CPU generator.
    """

    def __init__(self, size: float, rng: torch.Generator) -> None:
        self.size, self.rng = size, rng

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with holes in its images."""
        height, width = step.images.shape[2:]
        rows, columns = (torch.randint(side, (len(step.images),), generator=self.rng) for side in (height, width))
        holes = boxes((height, width), rows, columns, self.size * height, self.size * width).to(step.images.device)
        return step.replaced(images=torch.where(holes, step.model.mean[:, None, None], step.floats))
