"""Layers in another form: those that bfloat16 hurts in one that it does not, and heads that are convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Float32Linear(nn.Linear):
    """A linear layer that autocast leaves in float32: logits rounded to bfloat16 would tie by the dozen."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features) float32."""
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)


class PixelLinear(Float32Linear):
    """A linear layer in the place of a convolution over one pixel: (N, F, 1, 1) -> (N, K, 1, 1), or (N, F) -> (N, K).

    Hooks on it see what those of any linear layer see.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return what is asked for, in the shape it is asked in."""
        out: Tensor = super().__call__(x.flatten(1))
        return out[..., None, None] if x.ndim == 4 else out


class StridedConv2d(nn.Conv2d):
    """A strided convolution that leaves bfloat16 for float32 where the map is one pixel high or wide.

    There, oneDNN (torch 2.15, AVX512-BF16) leaves the gradient of filter taps that never meet the map
    unwritten, and weights turn to noise or NaN: deep networks on images of 16 pixels and less.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return what ``nn.Conv2d`` returns."""
        if min(input.shape[-2:]) > 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def guard(net: nn.Module, head: nn.Linear) -> None:
    """Give the layers that bfloat16 hurts their guarded class; weights and names stay as they are."""
    if type(head) is nn.Linear:
        head.__class__ = Float32Linear
    for module in net.modules():
        if type(module) is nn.Conv2d and max(module.stride) > 1:
            module.__class__ = StridedConv2d
