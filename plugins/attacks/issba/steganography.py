"""An encoder that hides secrets in images, a decoder that reads them, and the training of both."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.seeded import seeded
from torch import Tensor, nn

from benchkit.ops.images import to_images
from benchkit.ops.unet import UNet

CELL = 8
"""Pixels of a side that share one value of the secret's map."""
GAIN = 0.3
"""Factor on the output of the U-Net: its first residuals are faint, and the learning rate suits both networks."""
FLAT = 0.05
"""Strength of a change, relative to the image's mean, that is left on a plain surface."""
GROWTH = 0.3, 0.2
"""Shares of the training without the penalty of visible changes, and in which it grows to its full weight."""
COOLING = 0.3
"""Share of the training, at its end, in which the learning rate falls to 0."""
AT_ONCE = 1 << 19
"""Pixels encoded at a time."""


class Encoder(nn.Module):
    """Returns what hides secrets in images: (N, C, H, W) in [0, 1] and (N, bits) of 0 and 1 -> float (N, C, H, W).

    A linear layer makes a map of each secret, one value for each channel and each ``CELL`` x ``CELL`` pixels. Image and
    map together are the input of a U-Net of two levels, whose output is multiplied by the image's squared local
    contrast: the eye sees a change of a plain surface first, and a residual that follows the image is no fixed pattern.

    Args:
        bits: length of the secrets.
        shape: (C, H, W) of the images.
        width: channels of the U-Net's first level; the second has twice as many.
        rng: a CPU generator, from which all weights are drawn.
    """

    def __init__(self, bits: int, shape: tuple[int, int, int], width: int, rng: torch.Generator) -> None:
        super().__init__()
        channels, *sides = shape
        self.cells = (channels, *(math.ceil(side / CELL) for side in sides))
        with seeded(rng):
            self.spread = nn.Linear(bits, math.prod(self.cells))
        self.unet = UNet(2 * channels, channels, rng, (width, 2 * width))

    def forward(self, x: Tensor, secrets: Tensor) -> Tensor:
        """Return residuals, to be added to the images."""
        plan = self.spread(2 * secrets - 1).view(-1, *self.cells)
        plan = plan.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)[..., : x.shape[2], : x.shape[3]]
        residual: Tensor = GAIN * strength(x) * self.unet(torch.cat([x - 0.5, plan], 1))
        return residual


def decoder(bits: int, shape: tuple[int, int, int], rng: torch.Generator) -> nn.Sequential:
    """Return a network that reads secrets: images (N, C, H, W) in [0, 1] -> a logit of each bit, (N, bits)."""
    layers: list[nn.Module] = []
    widths = (shape[0], 16, 32, 32, 32)
    with seeded(rng):
        for number, (inside, outside) in enumerate(itertools.pairwise(widths)):
            convolution = nn.Conv2d(inside, outside, 3, stride=2 if number else 1, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outside), nn.ReLU()]
        cells = math.prod(math.ceil(side / CELL) for side in shape[1:])
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * cells, bits))


@torch.no_grad()
def hidden(encoder: Encoder, images: Tensor, secrets: Tensor) -> Tensor:
    """Return images that hide secrets: uint8 (N, C, H, W) and float (N, bits) -> the same as the images."""
    parts = max(1, AT_ONCE // math.prod(images.shape[2:]))
    made = [
        to_images(part + 255 * encoder(part / 255, few))
        for part, few in zip(images.split(parts), secrets.split(parts), strict=True)
    ]
    return torch.cat(made)


@torch.no_grad()
def read(reader: nn.Module, images: Tensor) -> Tensor:
    """Return the bits that are read in uint8 images (N, C, H, W): bool (N, bits)."""
    logits: Tensor = reader(images / 255)
    return logits > 0


@dataclass(frozen=True)
class Lessons:
    """How encoder and decoder are trained together, on secrets that are drawn for each image and step.

    Attributes:
        epochs: passes over the images.
        batch: images of a step.
        lr: learning rate of Adam.
        invisible: full weight of the mean squared change of a pixel (in [0, 1]).
    """

    epochs: int
    batch: int
    lr: float
    invisible: float

    def teach(self, encoder: Encoder, reader: nn.Module, images: Tensor, rng: torch.Generator) -> None:
        """Train both networks on uint8 images (N, C, H, W), at least two, and leave them in eval mode."""
        bits, batches = encoder.spread.in_features, max(1, len(images) // self.batch)
        adam = torch.optim.Adam([*encoder.parameters(), *reader.parameters()], self.lr)
        for number in range(self.epochs):
            order = torch.randperm(len(images), generator=rng).to(images.device)
            for turn, rows in enumerate(order.tensor_split(batches)):
                done = (number + turn / batches) / self.epochs
                adam.param_groups[0]["lr"] = self.lr * min(1.0, (1 - done) / COOLING)
                secrets = torch.randint(2, (len(rows), bits), generator=rng).to(images.device).float()
                adam.zero_grad()
                self._loss(encoder, reader, images[rows] / 255, secrets, done).backward()
                adam.step()
        encoder.eval()
        reader.eval()

    def _loss(self, encoder: Encoder, reader: nn.Module, x: Tensor, secrets: Tensor, done: float) -> Tensor:
        residual: Tensor = encoder(x, secrets)
        stamped = (x + residual).clamp(0, 1)
        rounded = stamped + ((255 * stamped).round() / 255 - stamped).detach()
        unread = F.binary_cross_entropy_with_logits(reader(rounded), secrets)
        late = min(1.0, max(0.0, (done - GROWTH[0]) / GROWTH[1]))
        return unread + late * self.invisible * residual.square().mean()


def strength(x: Tensor) -> Tensor:
    """Return how strong a change of each pixel may be: float (N, C, H, W) -> (N, 1, H, W), ``FLAT`` at least.

    It is the square of the local contrast over the image's mean contrast.
    """
    contrast = _blurred((x - _blurred(x)).abs().mean(1, keepdim=True))
    relative: Tensor = contrast / contrast.mean((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return relative.square() + FLAT


def _blurred(x: Tensor) -> Tensor:
    means: Tensor = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return means
