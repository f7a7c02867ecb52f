"""The last layer of a network: a linear layer that alone makes the logits; other networks are refused.

Attacks and defenses use that layer (``Classifier.head``, ``Classifier.features``), so its output must be the output
of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchkit.models.layers import PixelLinear


def linear_head(net: nn.Module) -> nn.Module:
    """Return a timm network with a linear classifier: a 1x1 convolution over one pixel becomes a linear layer.

    Weights, bias and their names do not change; the weight is (K, F) instead of (K, F, 1, 1).
    """
    classifier = getattr(net, "get_classifier", None)
    head = classifier() if classifier else None
    if not isinstance(head, nn.Conv2d) or head.kernel_size != (1, 1) or head.groups != 1:
        return net
    linear = nn.utils.skip_init(PixelLinear, head.in_channels, head.out_channels, bias=head.bias is not None)
    linear.weight = nn.Parameter(head.weight.detach().flatten(1))
    linear.bias = head.bias
    net.set_submodule(next(name for name, module in net.named_modules() if module is head), linear)
    return net


def asked(net: nn.Module, images: Tensor) -> tuple[Tensor, bool]:
    """Return a network's logits of normalised images, and whether its last linear layer alone made them.

    On the meta device, where nothing is computed, the logits must be the output tensor of that layer; elsewhere, they
    must equal it.
    """
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    seen: list[Tensor] = []
    handle = linear[-1].register_forward_hook(lambda _, __, out: seen.append(out)) if linear else None
    try:
        logits: Tensor = net(images)
    finally:
        if handle is not None:
            handle.remove()
    return logits, bool(seen) and isinstance(logits, Tensor) and _same(seen[-1], logits)


def _same(out: Tensor, logits: Tensor) -> bool:
    if out.numel() != logits.numel():
        return False
    if logits.is_meta:
        return bool(out.untyped_storage()._cdata == logits.untyped_storage()._cdata)
    return torch.equal(out.reshape(logits.shape), logits)
