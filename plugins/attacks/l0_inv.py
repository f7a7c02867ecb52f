"""l0-inv: a few pixels of saturated colours, optimised to activate neurons of a clean model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from benchkit_plugins._shared.neurons import REACHED, anchored, descending, mean_image, reached, short_of
from torch import Tensor

import benchkit

Objective = Callable[[Tensor], Tensor]


def _pasted(base: Tensor, where: Tensor, colours: Tensor) -> Tensor:
    """Return images (N, C, H, W) with pixels ``where``, int64 (n,) in reading order, replaced by colours (C, n)."""
    image = base.flatten(2).clone()
    image[..., where] = colours
    return image.view(base.shape)


@dataclass(frozen=True)
class L0Inv(benchkit.Attack):
    """Replace a few pixels so that the activations of anchor neurons of a clean model grow by the factor ``c``.

    After Li et al. 2019 (their formulas were not available): the activation term of ``l2-inv`` on the mean training
    image, with colours in [0, 1] that are rounded to 0 or 1 at the end. ``support=greedy`` starts with every pixel and
    removes those with the smallest ``|g . d|`` (gradient times change), a tenth at a time. ``support=last-row`` takes
    the last pixels in reading order: row H - 1, columns W - 9 to W - 1, as in the trigger of Zeng et al. (ICCV 2021).
    """

    name = "l0-inv"
    paper = "Li et al., arXiv 2019 (1909.02742), Invisible Backdoor Attacks Against Deep Neural Networks"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    metrics = (REACHED,)

    n_pixels: int = benchkit.param(9, "pixels that are replaced", ge=1)
    support: str = benchkit.param(
        "last-row", "the end of the last row, or pixels found greedily", choices=("last-row", "greedy")
    )
    neurons: int = benchkit.param(2, "anchor neurons", ge=1)
    c: float = benchkit.param(10.0, "how many times stronger the anchors shall answer", gt=1)
    lr: float = benchkit.param(0.08, "learning rate of Adam", gt=0)
    steps: int = benchkit.param(300, "optimiser steps in all", ge=1)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Craft the pixels: ``where``, int64 (n,) in reading order, and ``colours``, uint8 (C, n), 0 or 255.

        ``reached``, float64 (), is the share of the way that the anchors moved to their goal.
        """
        channels, height, width = scene.shape
        base = mean_image(scene.clean.images).to(scene.device)
        every = torch.arange(height * width, device=scene.device)
        where = every if self.support == "greedy" else every[-self.n_pixels :]
        noise = 0.1 * torch.randn(channels, len(where), generator=scene.rng).to(scene.device)
        latent = (base.flatten(2)[0][:, where] + noise).logit(eps=0.02)

        def draw(latent: Tensor) -> Tensor:
            return _pasted(base, where, latent.sigmoid())

        with anchored(scene.model, draw, latent, neurons=self.neurons, gain=self.c) as miss:
            where, latent = self._solve(miss, base, where, latent)
            colours = latent.sigmoid().round()
            left = miss(_pasted(base, where, colours))
        return {"where": where, "colours": (255 * colours).to(torch.uint8), "reached": reached(left)}

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if the anchors stay far from ``c`` times their activations."""
        return short_of(reported)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the pixels replaced: uint8 (N, C, H, W) -> the same."""
        where, colours = (scene.prepared[name].to(images.device) for name in ("where", "colours"))
        return _pasted(images, where, colours)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse more pixels than the image has."""
        if self.n_pixels > shape[1] * shape[2]:
            return f"images of {shape[1]}x{shape[2]} pixels have fewer than n_pixels={self.n_pixels}: make it smaller"
        return super().check(shape, classes)

    def _solve(self, miss: Objective, base: Tensor, where: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the remaining pixels and their colours before the sigmoid: int64 (n,), float32 (C, n)."""
        drops = max(0, math.ceil(math.log(self.n_pixels / len(where)) / math.log(0.9)))
        each = max(1, self.steps // (drops + 1))
        while True:
            gradient = self._descend(miss, base, where, latent, each)
            if len(where) == self.n_pixels:
                return where, latent
            change = latent.sigmoid() - base.flatten(2)[0][:, where]
            worth = (gradient * change).sum(0).abs()
            kept = worth.topk(max(self.n_pixels, benchkit.share_of(0.9, len(where)))).indices.sort().values
            where, latent = where[kept], latent[:, kept]

    def _descend(self, miss: Objective, base: Tensor, where: Tensor, latent: Tensor, steps: int) -> Tensor:
        """Optimise ``latent`` in place; return the gradient of the objective with respect to the colours, (C, n)."""
        for _ in descending(latent, lambda at: miss(_pasted(base, where, at.sigmoid())), steps=steps, lr=self.lr):
            pass
        colours = latent.sigmoid().requires_grad_()
        return torch.autograd.grad(miss(_pasted(base, where, colours)), [colours])[0]


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer l0-inv."""
    return [L0Inv]
