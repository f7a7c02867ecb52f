"""Layers whose weights are drawn from a generator of ours."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

L = TypeVar("L", nn.Linear, nn.Conv2d)


def drawn(layer: L, rng: torch.Generator) -> L:
    """Return a layer with weights for ReLU (He et al., ICCV 2015) from ``rng``, a CPU generator, and biases of 0.

    Make the layer with ``torch.nn.utils.skip_init``, so that nothing is drawn from the global generator.
    """
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=rng)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
