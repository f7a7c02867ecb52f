"""Channel-Lipschitz pruning: remove channels that amplify their input far more than others of their layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import benchkit

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


@dataclass(frozen=True)
class ChannelLipschitzPruning(benchkit.ModelRepair):
    """Silence each channel whose upper bound of the Lipschitz constant is an outlier of its layer. It sees no image.

    Zheng et al. 2022: a channel's bound is the largest singular value of its convolution filter, a matrix (inputs,
    pixels of the kernel), times ``|gamma / sqrt(var + eps)|`` of the batch normalisation behind it. Channels above mean
    + u * standard deviation over their layer get gamma = beta = 0.

    A normalisation belongs to the convolution whose output it reads, directly or through layers without weights, such
    as pooling. The released code takes the convolution before it in the order of modules; these differ where a network
    normalises first (pre-activation): there it pairs a normalisation of a sum with one of its terms, here it has no
    partner and stays.
    """

    name = "clp"
    paper = "Zheng et al., ECCV 2022, Data-free Backdoor Removal based on Channel Lipschitzness"

    u: float = benchkit.param(3.0, "standard deviations above the mean of a layer from which channels are pruned", ge=0)

    def repair(self, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return the victim without its outlying channels.

        Raises:
            ContractError: if no batch normalisation reads a convolution.
        """
        model = scene.model
        found = normalised_convolutions(model, scene.shape)
        if not found:
            raise benchkit.ContractError(
                f"{self.name} needs batch normalisation behind convolutions: take another model"
            )
        for conv, norm in found:
            bounds = lipschitz_bounds(conv, norm)
            outlying = bounds > bounds.mean() + self.u * bounds.std()
            with torch.no_grad():
                norm.weight[outlying] = 0
                norm.bias[outlying] = 0
        return model


@torch.no_grad()
def lipschitz_bounds(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Return the bound of each channel of a convolution and the batch normalisation behind it, float (channels,)."""
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    filters = conv.weight.float().flatten(2)  # (channels, inputs, pixels)
    bounds: Tensor = torch.linalg.matrix_norm(filters, ord=2) * scale.abs()
    return bounds


@torch.no_grad()
def normalised_convolutions(model: benchkit.Classifier, shape: tuple[int, int, int]) -> list[Pair]:
    """Return each convolution with the batch normalisation that reads its output, found in a pass of a black image.

    Layers without weights, such as pooling and activations, hand the output on as long as it keeps its channels.
    """
    origins: dict[int, nn.Conv2d] = {}
    alive: list[Tensor] = []  # an object's id is unique only while it lives
    found: list[Pair] = []

    def behind(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        origin = origins.get(id(inputs[0]))
        if isinstance(layer, nn.BatchNorm2d) and origin and layer.affine and layer.track_running_stats:
            found.append((origin, layer))
        if isinstance(layer, nn.Conv2d):
            origins[id(output)] = layer
        elif origin and output.shape[1:2] == inputs[0].shape[1:2] and not [*layer.parameters()]:
            origins[id(output)] = origin
        alive.extend((inputs[0], output))

    handles = [layer.register_forward_hook(behind) for layer in model.net.modules() if not [*layer.children()]]
    try:
        model(torch.zeros(1, *shape, device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    return found


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer channel-Lipschitz pruning."""
    return [ChannelLipschitzPruning]
