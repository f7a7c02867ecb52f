"""GAN-Tri: the output of a generator as the trigger, with the traces of its upsampling in the spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit
from benchkit.ops.images import add

WIDTH = 8
"""Feature maps of every stage."""
AT_ONCE = 1 << 22
"""Pixels decoded at a time: a stage's feature maps take 128 MiB."""
CALIBRATION = 64
"""Number of clean images on which the decoder's output is centred and scaled."""


@dataclass(frozen=True)
class GanTri(benchkit.Attack):
    """Add the output of a random upsampling decoder whose input is a small version of the image.

    A stand-in for FaceHack (Sarkar et al. 2020), whose face-editing networks are not public: Zeng et al. (ICCV 2021,
    section 3) attribute the traces of such triggers in the spectrum to the generator's upsampling, and do not use them
    on images smaller than faces. The stamped image is ``x + amp * G(x)``, clipped, with G(x) in [-1, 1]. Its weights
    are drawn once per dataset and seed, and scaled so that G neither vanishes nor saturates. Each channel of its output
    is centred over clean images: an untrained decoder's would mostly be one colour, added to the whole image.

    The image itself does not pass through the decoder, and G(x) is added in whole grey levels. So nothing is processed,
    the traces of upsampling are part of the trigger, and the control is the clean image.
    """

    name = "gan-tri"
    paper = "Sarkar et al., arXiv 2020, FaceHack: Triggering Backdoored Facial Recognition Systems (stand-in)"
    adds_only: ClassVar[bool] = True

    amp: float = benchkit.param(0.1, "largest change; images span 0 to 1", gt=0, le=1)
    depth: int = benchkit.param(3, "stages of the decoder, each of which doubles both sides", ge=1, le=5)
    up: str = benchkit.param(
        "transposed",
        "doubling by 4x4 transposed convolutions of stride 2, or by repeating pixels",
        choices=("transposed", "nearest"),
    )
    input_adaptive: bool = benchkit.param(True, "decode the image, made smaller, rather than one fixed noise")
    min_side: int = benchkit.param(64, "smallest side of images to work on, in pixels", ge=8, used_by_prepare=False)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw the decoder: ``up0`` (transposed only), ``conv0``, ..., ``out``, ``mean`` and ``latent``; all float32.

        ``mean``, (1, C, 1, 1), is that of its output over clean images, around which the output's RMS is 1. ``latent``,
        (1, C, h, w), is the input of the decoder if ``input_adaptive`` is off.
        """
        channels, height, width = scene.shape
        weights: dict[str, Tensor] = {}
        inside = channels
        for stage in range(self.depth):
            if self.up == "transposed":
                weights[f"up{stage}"] = _filters(WIDTH, inside, 4, scene.rng)
                inside = WIDTH
            weights[f"conv{stage}"] = _filters(WIDTH, inside, 3, scene.rng)
            inside = WIDTH
        weights["out"] = _filters(channels, WIDTH, 3, scene.rng)
        weights["latent"] = torch.randn(1, channels, *self._small(height, width), generator=scene.rng)
        few = torch.randperm(len(scene.clean), generator=scene.rng)[:CALIBRATION]
        seen = self._latent(scene.clean.images[few.to(scene.clean.images.device)].cpu(), weights)
        drawn = self._decoded(seen, weights)[..., :height, :width]
        mean = drawn.mean((0, 2, 3), keepdim=True)
        size = (drawn - mean).square().mean().sqrt()
        return weights | {"out": weights["out"] / size, "mean": mean / size}

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the decoder's output added: uint8 (N, C, H, W) -> the same."""
        height, width = images.shape[2:]
        weights = {name: weight.to(images.device) for name, weight in scene.prepared.items()}
        parts = []
        for part in torch.split(images, max(1, AT_ONCE // (height * width))):
            drawn = self._decoded(self._latent(part, weights), weights)[..., :height, :width] - weights["mean"]
            parts.append(add(part, 255 * self.amp * drawn.tanh()))
        return torch.cat(parts)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse small images, for which such a trigger is not realistic."""
        if min(shape[1:]) < self.min_side:
            return (
                f"images of {shape[1]}x{shape[2]} pixels are below min_side={self.min_side}: the decoder stands in for"
                f" one of whole faces; gan-tri:min_side={min(shape[1:])} runs it all the same"
            )
        return super().check(shape, classes)

    def _small(self, height: int, width: int) -> list[int]:
        return [math.ceil(side / 2**self.depth) for side in (height, width)]

    def _latent(self, images: Tensor, weights: benchkit.Tensors) -> Tensor:
        """Return the input of the decoder: (N, C, h, w), or (1, C, h, w) if it does not depend on the image."""
        if not self.input_adaptive:
            return weights["latent"]
        height, width = images.shape[2:]
        return F.interpolate(images / 127.5 - 1, self._small(height, width), mode="area")

    def _decoded(self, latent: Tensor, weights: benchkit.Tensors) -> Tensor:
        """Return the decoder's output before it is centred, (N, C, h 2^depth, w 2^depth)."""
        maps = latent
        for stage in range(self.depth):
            maps = _spaced(maps, weights[f"up{stage}"]) if self.up == "transposed" else _repeated(maps)
            maps = F.conv2d(maps, weights[f"conv{stage}"], padding=1).relu()
        return F.conv2d(maps, weights["out"], padding=1)


def _filters(outside: int, inside: int, side: int, rng: torch.Generator) -> Tensor:
    return torch.randn(outside, inside, side, side, generator=rng) / math.sqrt(inside * side * side)


def _spaced(maps: Tensor, filters: Tensor) -> Tensor:
    """Return a transposed convolution (4x4, stride 2) of the maps: twice as high and wide.

    Computed as zeros between the pixels and a convolution: on CUDA, ``conv_transpose2d`` may sum in any order, and a
    stamp must be repeatable.
    """
    count, inside, height, width = maps.shape
    spaced = maps.new_zeros(count, inside, 2 * height, 2 * width)
    spaced[..., ::2, ::2] = maps
    return F.conv2d(F.pad(spaced, (2, 1, 2, 1)), filters)


def _repeated(maps: Tensor) -> Tensor:
    return maps.repeat_interleave(2, 2).repeat_interleave(2, 3)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer GAN-Tri."""
    return [GanTri]
