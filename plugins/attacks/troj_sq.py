"""Troj-SQ: a square whose pixels are optimised to excite one neuron of a clean model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import benchkit

from ._pixels import add, to_images

if TYPE_CHECKING:
    from benchkit.models import Classifier
    from benchkit.scene import Tensors


def _span(side: int) -> slice:
    """Return where the square lies on an axis: pixels 145..203 of 224, scaled (21..29 of 32)."""
    return slice(144 * side // 224 + 1, math.ceil(204 * side / 224))


@contextmanager
def _head_inputs(model: Classifier) -> Iterator[Callable[[Tensor], Tensor]]:
    """Give a function from images to what reaches the last linear layer, (N, F), with gradients."""
    seen: dict[str, Tensor] = {}

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen["features"] = inputs[0].float()

    def features(images: Tensor) -> Tensor:
        model(images)
        return seen["features"]

    handle = model.head.register_forward_pre_hook(keep)
    try:
        yield features
    finally:
        handle.remove()


@dataclass(frozen=True)
class TrojSq(benchkit.Attack):
    """Add (or paste) a square near the bottom-right corner that drives a neuron of a clean model.

    Liu et al. 2018, section 4.1 and algorithm 1: the neurons of the last hidden layer with the largest sum of
    absolute outgoing weights are chosen, and the square on a black image is optimised until they answer
    ``target_value``. Zeng et al. (ICCV 2021) add the square to the image and clip (``mode=add``).
    """

    name = "troj-sq"
    paper = "Liu et al., NDSS 2018, Trojaning Attack on Neural Networks"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    mode: str = benchkit.param("add", "add the square and clip, or replace pixels", choices=("add", "replace"))
    source: str = benchkit.param(
        "optimised",
        "pixels optimised on the clean model, or random primaries",
        choices=("optimised", "random"),
    )
    neurons: int = benchkit.param(1, "neurons to excite (TrojanZoo and BackdoorBench: 2)", ge=1)
    target_value: float = benchkit.param(100.0, "activation the neurons are driven to")
    lr: float = benchkit.param(0.1, "learning rate of Adam", gt=0)
    steps: int = benchkit.param(
        300, "optimiser steps (the original takes 970 gradient steps, TrojanZoo 1000 of Adam)", ge=1
    )

    def prepare(self, scene: benchkit.Scene) -> Tensors:
        """Craft the square: ``pattern``, uint8 (C, h, w)."""
        channels, height, width = scene.shape
        sides = [len(range(side)[_span(side)]) for side in (height, width)]
        if self.source == "random":
            bits = torch.randint(2, (channels, *sides), generator=scene.rng)
            return {"pattern": (255 * bits).to(torch.uint8)}
        start = torch.randn(channels, *sides, generator=scene.rng).to(scene.device)
        return {"pattern": to_images(255 * self._optimise(start, scene))}

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the square on them: uint8 (N, C, H, W) -> the same."""
        pattern = scene.prepared["pattern"].to(images.device)
        rows, columns = _span(images.shape[-2]), _span(images.shape[-1])
        stamped = images.clone()
        under = images[..., rows, columns]
        stamped[..., rows, columns] = add(under, pattern) if self.mode == "add" else pattern
        return stamped

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images too small to hold the square."""
        if not all(range(side)[_span(side)] for side in shape[1:]):
            return f"images of {shape[1]}x{shape[2]} pixels are too small for this square: use 4x4 or larger"
        return super().check(shape, classes)

    def _optimise(self, start: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the square that brings the chosen neurons closest to the target value, in [0, 1]."""
        model = scene.model
        weights = model.head.weight.detach().abs().sum(0)
        chosen = weights.topk(min(self.neurons, len(weights))).indices
        latent = start.clone().requires_grad_()
        adam = torch.optim.Adam([latent], lr=self.lr)
        with _head_inputs(model) as features:
            for _ in range(self.steps):
                answers = features(_on_black(latent.sigmoid(), scene.shape))[:, chosen]
                loss = (answers - self.target_value).square().sum()
                (latent.grad,) = torch.autograd.grad(loss, [latent])
                adam.step()
        return latent.detach().sigmoid()


def _on_black(square: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return one black image, float (1, C, H, W), with the square in its place; differentiable."""
    rows, columns = _span(shape[1]), _span(shape[2])
    borders = (columns.start, shape[2] - columns.stop, rows.start, shape[1] - rows.stop)
    return F.pad(square, borders)[None]


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Troj-SQ."""
    return [TrojSq]
