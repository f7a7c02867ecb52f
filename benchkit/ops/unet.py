"""A small U-Net for purifiers and generators: images in, maps of the same size out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

SMALLEST = 16
"""Pixels of the shortest side that it takes."""


class UNet(nn.Module):
    """A U-Net (Ronneberger et al., MICCAI 2015) with padding: (N, inside, H, W) -> (N, outside, H, W), float.

    Each width is a level of two 3x3 convolutions, each with batch norm and ReLU; 2x2 max-pooling lies between levels.
    On the way up, maps are resized (nearest neighbour) to the size of the skipped ones, so that sides need neither be
    equal nor even. A 1x1 convolution without activation ends it: add a sigmoid for images, tanh for perturbations. Its
    state is that of a plain ``nn.Module``.

    Args:
        inside: channels of the input.
        outside: channels of the output.
        rng: a CPU generator, such as ``scene.rng``: all weights are drawn from it (He et al., ICCV 2015).
        widths: channels of each level, from the image downwards; with n levels the shortest side must be 2^(n - 1) or
            more, and 16.

    Raises:
        ValueError: from ``forward``, for images that are too small.
    """

    def __init__(self, inside: int, outside: int, rng: torch.Generator, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        self.down = nn.ModuleList(_level(a, b) for a, b in zip((inside, *widths), widths, strict=False))
        deeper = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(_level(a + b, b) for a, b in deeper)
        self.last = skip_init(nn.Conv2d, widths[0], outside, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outside, H, W) of (N, inside, H, W)."""
        if min(x.shape[-2:]) < max(SMALLEST, 2 ** (len(self.down) - 1)):
            raise ValueError(f"images of {x.shape[-2]} x {x.shape[-1]} are too small for {len(self.down)} levels")
        skipped: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            skipped.append(x)
        for level, beside in zip(self.up, skipped[-2::-1], strict=True):
            x = level(torch.cat([F.interpolate(x, beside.shape[-2:]), beside], 1))
        out: Tensor = self.last(x)
        return out


def _level(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(*_convolved(inside, outside), *_convolved(outside, outside))


def _convolved(inside: int, outside: int) -> tuple[nn.Module, ...]:
    # skip_init: the constructor would draw its weights from torch's global generator
    conv = skip_init(nn.Conv2d, inside, outside, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outside), nn.ReLU()
