"""An autoencoder in front of the model: what clean images do not have, it cannot draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.drawn import drawn
from torch import nn
from torch.nn.utils import skip_init

import benchkit
from benchkit.ops.images import to_images

if TYPE_CHECKING:
    from torch import Tensor

BATCH, CHUNK = 32, 500
"""Images in a step of the training, and images that are purified at a time."""
FLOOR = 8
"""The bottleneck's shorter side is this or a little more."""


@dataclass(frozen=True)
class AutoencoderPurifier(benchkit.CleanImages, benchkit.InputPurifier):
    """Replace every input by what an autoencoder makes of it that was trained on clean images alone.

    Liu et al. 2017, section IV.C: legitimate images are reproduced, others are moved towards them. Convolutions of
    ``width`` channels, max-pooling down to a bottleneck of about 8 x 8 pixels and ``bottleneck`` channels, and the way
    back with nearest-neighbour resizing; without a bottleneck it would learn to copy, and purify nothing. It learns the
    mean squared error, without looking at the victim, so it is trained once for all attacks.
    """

    name = "autoencoder"
    paper = "Liu et al., ICCD 2017, Neural Trojans"
    labelled = False

    width: int = benchkit.param(32, "channels of the convolutions", ge=1)
    bottleneck: int = benchkit.param(16, "channels of the bottleneck", ge=1)
    steps: int = benchkit.param(600, "steps of the training, of 32 images each", ge=1)
    lr: float = benchkit.param(0.003, "Adam's learning rate, which falls to 0 (released code of a peer: 0.001)", gt=0)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the weights of the trained autoencoder."""
        net = Autoencoder(scene.shape, self.width, self.bottleneck, scene.rng).to(scene.device)
        adam = torch.optim.Adam(net.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, self.steps)
        for images in self._batches(scene):
            loss = F.mse_loss(net(images), images)
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
        return {name: weight.detach().cpu() for name, weight in net.state_dict().items()}

    def _batches(self, scene: benchkit.Scene) -> Iterator[Tensor]:
        """Yield random batches, half of them mirrored, float32 (B, C, H, W) in [0, 1]."""
        for step in range(self.steps):
            rows = torch.randint(len(scene.clean), (BATCH,), generator=scene.rng)
            images = scene.clean.images[rows.to(scene.clean.images.device)].to(scene.device).float() / 255
            yield images.flip(3) if step % 2 else images

    @torch.no_grad()
    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return what the autoencoder makes of images: uint8 (N, C, H, W) -> uint8 (N, C, H, W)."""
        # The weights are the stored ones; those that are drawn here are overwritten.
        net = Autoencoder(scene.shape, self.width, self.bottleneck, torch.Generator()).to(images.device)
        net.load_state_dict({name: weight.to(images.device) for name, weight in scene.prepared.items()})
        parts = [to_images(255 * net(some.float() / 255)) for some in images.split(CHUNK)]
        return torch.cat(parts) if parts else images.clone()


class Autoencoder(nn.Module):
    """Images (N, C, H, W) in [0, 1] -> the same, through a bottleneck."""

    def __init__(self, shape: tuple[int, int, int], width: int, bottleneck: int, rng: torch.Generator) -> None:
        super().__init__()
        channels, *sides = shape
        levels = max(1, round(math.log2(min(sides) / FLOOR)))
        widths = [channels, *[width] * levels]
        self.down = nn.ModuleList(_conv(a, b, rng) for a, b in pairwise(widths))
        self.middle = _conv(width, bottleneck, rng)
        self.up = nn.ModuleList(_conv(a, width, rng) for a in [bottleneck, *[width] * (levels - 1)])
        self.last = _conv(width, channels, rng)

    def forward(self, x: Tensor) -> Tensor:
        """Return images of the same size."""
        sizes = []
        for conv in self.down:
            sizes.append(x.shape[-2:])
            x = F.max_pool2d(F.relu(conv(x)), 2, ceil_mode=True)
        x = F.relu(self.middle(x))
        for conv, size in zip(self.up, reversed(sizes), strict=True):
            x = F.relu(conv(F.interpolate(x, size)))
        drawn: Tensor = self.last(x)
        return drawn.sigmoid()


def _conv(inside: int, outside: int, rng: torch.Generator) -> nn.Conv2d:
    return drawn(cast("nn.Conv2d", skip_init(nn.Conv2d, inside, outside, 3, padding=1)), rng)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer the autoencoder."""
    return [AutoencoderPurifier]
