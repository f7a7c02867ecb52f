"""Replacement layers: for layers that bfloat16 harms, and for heads that are convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Float32Linear(nn.Linear):
    """A linear layer that autocast keeps in float32: many logits rounded to bfloat16 would be equal."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features) float32."""
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)


class PixelLinear(Float32Linear):
    """A linear layer instead of a convolution over one pixel: (N, F, 1, 1) -> (N, K, 1, 1), or (N, F) -> (N, K).

    Hooks on it get the same inputs and outputs as those of any linear layer.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output with the same number of dimensions as the input."""
        out: Tensor = super().__call__(x.flatten(1))
        return out[..., None, None] if x.ndim == 4 else out


class StridedConv2d(nn.Conv2d):
    """A strided convolution that uses float32 instead of bfloat16 if the map is one pixel high or wide.

    For such maps, oneDNN (torch 2.15, AVX512-BF16) does not write the gradient of filter taps that never touch the
    map, and weights become noise or NaN. This affects deep networks on images of 16 pixels or less.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the result of ``nn.Conv2d``."""
        if min(input.shape[-2:]) > 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def guard(net: nn.Module, head: nn.Linear) -> None:
    """Replace the class of layers that bfloat16 harms; weights and names do not change."""
    if type(head) is nn.Linear:
        head.__class__ = Float32Linear
    for module in net.modules():
        if type(module) is nn.Conv2d and max(module.stride) > 1:
            module.__class__ = StridedConv2d
