"""Stacks: several networks of one architecture that run as one, with ``torch.func.vmap``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, stack_module_state, vmap

from benchkit.models import classifier

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier


class Stack:
    """K classifiers of one architecture as one.

    Attributes:
        bank: a classifier, in training mode, whose weights and buffers are those of the K models on a new first axis.
    """

    def __init__(self, models: list[Classifier]) -> None:
        weights, buffers = stack_module_state(list(models))
        self.bank = models[0].copy().train()
        for name, value in weights.items():
            _put(self.bank, name, nn.Parameter(value.detach(), requires_grad=value.requires_grad))
        for name, value in buffers.items():
            _put(self.bank, name, value)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits, float32 (K, B, classes), of images (K, B, C, H, W), uint8 or float in [0, 1]."""
        net, device = self.bank.net, images.device.type
        state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        dtype = classifier.compute_dtype(images.device)
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            mapped = vmap(lambda own, batch: functional_call(net, own, (batch,)), randomness="different")
            logits: Tensor = mapped(state, self._normalised(images))
        return logits.float()

    def _normalised(self, images: Tensor) -> Tensor:
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        factor, shift = 1 / (self.bank.std * scale), self.bank.mean / self.bank.std
        return images * factor[:, None, :, None, None] - shift[:, None, :, None, None]

    def read(self, k: int, model: Classifier) -> None:
        """Copy the weights and buffers of one of the models into ``model``."""
        model.load_state_dict({name: value[k] for name, value in self.bank.state_dict().items()})


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, value)


def footprint(model: Classifier, images: Tensor) -> int:
    """Estimate the bytes that one model needs in a training step on these images.

    Eight times the weights (gradients, moments of the optimizer, the trained model, temporary tensors), and three times
    the saved tensors of the forward pass (their gradients, workspaces).
    """
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    model.train()
    with saved_tensors_hooks(count, lambda tensor: tensor):
        model(images)
    model.eval()
    return 3 * kept + 8 * sum(weight.nbytes for weight in model.parameters())


def mappable(model: Classifier, images: Tensor) -> bool:
    """Return whether ``torch.func.vmap`` can run the network."""
    try:
        with torch.no_grad():
            Stack([model, model.copy()])(torch.stack((images[:2], images[:2])))
    except RuntimeError:
        return False
    return True
