"""Grad-CAM: where in an image a network sees a class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 256
"""Images per forward and backward pass."""


def grad_cam(model: nn.Module, images: Tensor, labels: Tensor, layer: nn.Module) -> Tensor:
    """Return the Grad-CAM maps of images, float32 (N, H, W), >= 0, at the size of the images.

    Selvaraju et al., ICCV 2017, Section 3: the weights of a layer's channels are the spatial means of the gradients of
    the label's logit; the map is the weighted sum of the channels, without its negative part, resized bilinearly. For a
    linear head over global average pooling it is the positive part of the class activation map (Zhou et al., CVPR
    2016), divided by the number of positions. Put the model into evaluation mode first.

    Args:
        model: maps images to logits (N, K), such as ``scene.model``.
        images: what the model takes, (N, C, H, W).
        labels: the class that each map is of, int64 (N,), such as the predictions.
        layer: a module of the model whose output is (N, c, h, w), such as ``scene.model.last_conv``.

    Raises:
        ValueError: if the layer takes no part in the logits.
    """
    device = next(model.parameters()).device
    pairs = zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
    return torch.cat([_maps(model, some.to(device), wanted.to(device), layer) for some, wanted in pairs])


def _maps(model: nn.Module, images: Tensor, labels: Tensor, layer: nn.Module) -> Tensor:
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        # The gradient starts here: what lies before the layer needs none.
        seen.append(output.detach().clone().requires_grad_())
        return seen[-1].clone()  # a ReLU that works in place may follow

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model(images)
            chosen = logits.gather(1, labels[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, seen[-1:]) if seen and chosen.requires_grad else (None,)
    finally:
        handle.remove()
    if gradient is None:
        raise ValueError(f"no gradient reaches the {type(layer).__name__}: choose a layer that the logits depend on")
    weights = gradient.float().mean((2, 3), keepdim=True)
    small = (weights * seen[-1].detach().float()).sum(1, keepdim=True).relu()
    return F.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False).squeeze(1)
