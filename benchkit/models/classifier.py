"""Classifier: a network together with the normalisation of its inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from benchkit.errors import ContractError
from benchkit.models.layers import guard

M = TypeVar("M", bound=nn.Module)


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of convolutions: bfloat16 if the device has instructions for it.

    This is a fixed rule, not a timing, so that a machine always computes the same numbers.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


class Classifier(nn.Module):
    """A network that takes unnormalised images: uint8, or float in [0, 1]; (N, C, H, W).

    ``scene.model`` and the results of ``scene.fit`` and ``scene.network`` are classifiers. Classifiers that are made of
    others, or of a function, are :class:`benchkit.Ensemble`, :class:`benchkit.Preprocessed` and
    :class:`benchkit.FromFunction`.

    Attributes:
        mean: float32 (C,), of the training images in [0, 1].
        std: float32 (C,), of the same images.
        differentiable: whether logits have gradients.

    Args:
        net: maps normalised images to logits (N, K); must contain an ``nn.Linear``; the last one is its head. It is
            converted in place.
        mean: float32 (C,), of the training images in [0, 1].
        std: float32 (C,), of the same images.
    """

    mean: Tensor
    std: Tensor
    differentiable: bool = True

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net.to(mean.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        guard(self.net, self.head)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are, and logits and features are returned."""
        return self.mean.device

    def why_not_trainable(self) -> str | None:
        """Return why ``scene.fit`` cannot continue with this model, or None."""
        return None if self.differentiable else f"cannot continue with {type(self).__name__}: it has no gradients"

    def normalised(self, images: Tensor) -> Tensor:
        """Return (images - mean) / std as float32, channels last.

        Whole rows of pixels are processed at once: a loop over only three channels costs more than the arithmetic.
        """
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        count, channels, height, width = images.shape
        factor = (1 / (self.std * scale)).repeat(width)
        shift = (self.mean / self.std).repeat(width)
        rows = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
        return (rows * factor - shift).view(count, height, width, channels).permute(0, 3, 1, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, K), differentiable in float images and in the weights."""
        dtype = compute_dtype(self.mean.device)
        with torch.autocast(self.mean.device.type, dtype, enabled=dtype != torch.float32):
            logits: Tensor = self.net(self.normalised(images))
        return logits.float()

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, K), in eval mode, without gradients, in batches."""
        return self._batched(images, self)

    def features(self, images: Tensor) -> Tensor:
        """Return the input of the last linear layer, float32 (N, F), in the same way."""
        seen: list[Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].float()))

        def last(images: Tensor) -> Tensor:
            self(images)
            return seen.pop()

        try:
            return self._batched(images, last)
        finally:
            handle.remove()

    def _batched(self, images: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        # 500 CIFAR images fit into the CPU's caches; larger images use smaller batches.
        most, pixels = (500, 500_000) if self.device.type == "cpu" else (4000, 16_000_000)
        size = max(8, min(most, pixels // max(1, images.shape[2] * images.shape[3])))
        with torch.no_grad(), evaluating(self):
            return torch.cat([run(part.to(self.device)) for part in torch.split(images, size)])

    @property
    def head(self) -> nn.Linear:
        """Return the last ``nn.Linear`` of the network."""
        return _last(nn.Linear, self.net)

    @property
    def last_conv(self) -> nn.Conv2d:
        """Return the last ``nn.Conv2d`` of the network."""
        return _last(nn.Conv2d, self.net)

    def copy(self) -> Classifier:
        """Return an independent copy, in eval mode, without gradients."""
        twin = copy.deepcopy(self)
        twin.zero_grad(set_to_none=True)
        return twin.eval()

    def state(self) -> dict[str, Tensor]:
        """Return weights and buffers as separate contiguous CPU tensors, for safetensors."""
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self.state_dict().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of :meth:`state` from a model of the same architecture."""
        self.load_state_dict(dict(state))


def _last(kind: type[M], net: nn.Module) -> M:
    found = [module for module in net.modules() if isinstance(module, kind)]
    if not found:
        raise ContractError(f"the network {type(net).__name__} has no nn.{kind.__name__}")
    return found[-1]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode within the context."""
    modes = {module: module.training for module in model.modules() if module.training}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
