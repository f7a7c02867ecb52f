"""The six-layer network of the frequency detector (Zeng et al., ICCV 2021, Section 4 and released model)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

STAGES = ((32, 0.2), (64, 0.3), (128, 0.4))
"""Filters and dropout rate of each stage of two convolutions; each stage halves the side."""


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        curve = x.float().exp()
        # close to 0 the function is x itself, of which a difference to 1 would leave few digits
        curve.sub_(1).clamp_(max=-torch.finfo(x.dtype).eps / 2)
        out = torch.maximum(x, curve.to(x.dtype))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        settings = {"alpha": 1, "scale": 1, "input_scale": 1, "is_result": True}
        passed: Tensor = torch.ops.aten.elu_backward(grad, **settings, self_or_result=out)
        return passed


class Elu(nn.Module):
    """ELU with ``exp(x) - 1`` below zero, where torch takes ``expm1``, which is ten times as slow on a CPU.

    In bfloat16 it is torch's to the last bit; in float32 it differs by 6e-8 at most.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x where it is positive, and exp(x) - 1 elsewhere."""
        out: Tensor = _Elu.apply(x)
        return out


class Dropout(nn.Module):
    """Element-wise dropout that draws from its own generator, not from the global one."""

    def __init__(self, rate: float, rng: torch.Generator | None) -> None:
        super().__init__()
        self.rate, self.rng = rate, rng

    def forward(self, x: Tensor) -> Tensor:
        """In training mode only, set a share of the elements to zero and scale up the rest."""
        if not self.training:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.rng)
        return x * keep.div_(1 - self.rate)


class Cnn6(nn.Sequential):
    """Six 3x3 convolutions, each followed by ELU and then batch normalisation, and one linear layer.

    Maps float (N, channels, H, W), H and W at least 8, to logits (N, 2): clean, perturbed. It has 292,898
    parameters for 3 x 32 x 32, running statistics included. Weights are Glorot-uniform, biases zero.

    Args:
        shape: (channels, H, W).
        init: a CPU generator for the weights; None keeps torch's initial values, which the caller overwrites.
        dropout: a generator on the device of the training, for the dropout.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        init: torch.Generator | None = None,
        dropout: torch.Generator | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):  # torch's initial values advance the global generator
            super().__init__(*_layers(shape, dropout))
        if init is not None:
            self._glorot(init)

    def _glorot(self, rng: torch.Generator) -> None:
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight, generator=rng)
                nn.init.zeros_(layer.bias)

    def kernels(self) -> list[Tensor]:
        """Return the weights of the six convolutions: the only ones with an L2 penalty."""
        return [layer.weight for layer in self if isinstance(layer, nn.Conv2d)]


def _layers(shape: tuple[int, int, int], dropout: torch.Generator | None) -> list[nn.Module]:
    width, height, columns = shape
    layers: list[nn.Module] = []
    for filters, rate in STAGES:
        layers += [*_block(width, filters), *_block(filters, filters)]
        layers += [nn.MaxPool2d(2), Dropout(rate, dropout)]
        width, height, columns = filters, height // 2, columns // 2
    return [*layers, nn.Flatten(), nn.Linear(width * height * columns, 2)]


def _block(width: int, filters: int) -> list[nn.Module]:
    # Keras keeps .99 of the running statistics at each step; torch's momentum is the other share.
    norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
    return [nn.Conv2d(width, filters, 3, padding=1), Elu(), norm]
