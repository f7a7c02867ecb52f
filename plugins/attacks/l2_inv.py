"""l2-inv: faint noise over the whole image, optimised to activate neurons of a clean model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from benchkit_plugins._shared.neurons import REACHED, anchored, descending, mean_image, reached, short_of
from torch import Tensor

import benchkit
from benchkit.ops.images import add

PUBLISHED_VALUES = 3 * 32 * 32
"""Number of values of the image for which Zeng et al. published their trigger, and to which ``budget`` refers."""


@dataclass
class _Weight:
    """The weight of the activation term; it decreases by a fifth whenever the loss did not decrease for ten steps.

    Attributes:
        now: the weight; 100 at first, so that the norm hardly counts.
        eased: whether it has decreased yet.
    """

    now: float = 100.0
    eased: bool = False
    _best: float = math.inf
    _stalled: int = 0

    def saw(self, loss: float) -> None:
        """Update the weight with the loss of one step."""
        self._stalled = 0 if loss < 0.99 * self._best else self._stalled + 1
        self._best = min(loss, self._best)
        if self._stalled == 10:
            self.now, self.eased, self._best, self._stalled = 0.8 * self.now, True, math.inf, 0


@dataclass(frozen=True)
class L2Inv(benchkit.Attack):
    """Add a pattern of small L2 norm that multiplies the activations of anchor neurons of a clean model by ``c``.

    After Li et al. 2019 (their formulas were not available): with x0 the mean training image and f the last hidden
    layer, minimise ``w sum_s (f_s(x0 + d) - c f_s(x0 + d0))^2 + ||d||_2`` by Adam from d0 ~ N(0, 0.1^2), the anchors s
    being the neurons with the largest sums of |outgoing weight|. w decreases whenever the loss stalls, until the norm
    is within ``budget``; the result is the step before, scaled down to the budget. Norms and signs match the trigger of
    Zeng et al. (ICCV 2021), who add it to the image and clip at white.

    ``budget`` is for 32x32x3 images; other sizes get the budget with the same root mean square per value, ``budget *
    sqrt(C H W / 3072)``. At the end, values are rounded to whole grey levels.
    """

    name = "l2-inv"
    paper = "Li et al., arXiv 2019 (1909.02742), Invisible Backdoor Attacks Against Deep Neural Networks"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    adds_only: ClassVar[bool] = True
    metrics = (REACHED,)

    budget: float = benchkit.param(3.2, "L2 norm allowed, pixels in [0, 1], at 32x32x3", gt=0)
    linf: float = benchkit.param(0.267, "largest change of a value, as a share of white", gt=0, le=1)
    nonneg: bool = benchkit.param(True, "only brighten, as the published trigger does")
    neurons: int = benchkit.param(2, "anchor neurons", ge=1)
    c: float = benchkit.param(10.0, "how many times stronger the anchors shall answer", gt=1)
    lr: float = benchkit.param(0.08, "learning rate of Adam", gt=0)
    steps: int = benchkit.param(1000, "optimiser steps at most", ge=1)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Craft the pattern: ``levels``, grey levels to add, int16 (C, H, W), and ``reached``, float64 ()."""
        budget = self.budget * math.sqrt(math.prod(scene.shape) / PUBLISHED_VALUES)
        mean: Tensor = mean_image(scene.clean.images).to(scene.device)
        noise = 0.1 * torch.randn(1, *scene.shape, generator=scene.rng)
        change = self._bounded(noise.to(scene.device))

        def draw(change: Tensor) -> Tensor:
            return (mean + change).clamp(0, 1)

        with anchored(scene.model, draw, change, neurons=self.neurons, gain=self.c) as miss:
            change = self._optimise(change, budget, lambda change: miss(draw(change)))
            change *= min(1.0, budget / float(change.norm()))
            levels = (255 * change).round()
            left = miss(draw(levels / 255))
        return {"levels": levels[0].to(torch.int16), "reached": reached(left)}

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if the anchors stay far from ``c`` times their activations."""
        return short_of(reported)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return ``images + levels`` clipped to 0..255: uint8 (N, C, H, W) -> the same."""
        return add(images, scene.prepared["levels"])

    def _bounded(self, change: Tensor) -> Tensor:
        """Clamp a change, in place, to what ``linf`` and ``nonneg`` allow."""
        return change.clamp_(0.0 if self.nonneg else -self.linf, self.linf)

    def _optimise(self, change: Tensor, budget: float, miss: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the change, float32 (1, C, H, W), just before it is within its budget, or after the last step."""
        weight, before = _Weight(), change.clone()

        def loss(change: Tensor) -> Tensor:
            norm: Tensor = torch.linalg.vector_norm(change)
            return weight.now * miss(change) + norm / budget

        # Adam's first step moves every value by the full learning rate: from noise of 0.1, enough to deactivate the
        # anchors.
        for value in descending(change, loss, steps=self.steps, lr=self.lr, betas=(0.9, 0.99), warm_up=50):
            weight.saw(value)
            with torch.no_grad():
                inside = float(self._bounded(change).norm()) <= budget
            if weight.eased and inside:
                break
            before = change.detach().clone()
        return before


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer l2-inv."""
    return [L2Inv]
