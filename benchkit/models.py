"""Classifiers: a network with its normalisation inside; and where networks come from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from benchkit.errors import ContractError, SpecError, did_you_mean
from benchkit.heads import asked, linear_head
from benchkit.layers import guard
from benchkit.nets import NETS, Build, Shape

M = TypeVar("M", bound=nn.Module)
ModelHook = Callable[..., "nn.Module | None"]
"""``hook(name=str, classes=int, channels=int, size=int)`` -> a network, or None."""


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype convolutions run in: bfloat16 where the device has instructions for it.

    A rule, not a timing: the same machine always computes the same numbers.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


class Classifier(nn.Module):
    """A network that takes images as they are: uint8, or float in [0, 1]; (N, C, H, W).

    Args:
        net: maps normalised images to logits (N, K); must contain an ``nn.Linear``, the last of which
            is its head. It is converted in place.
        mean: float32 (C,), of the training images in [0, 1].
        std: float32 (C,), likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net.to(mean.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        guard(self.net, self.head)
        self.eval()

    def normalised(self, images: Tensor) -> Tensor:
        """Return (images - mean) / std as float32, channels last.

        Rows of pixels are worked on as a whole: over three channels alone, the loop inside costs more than the work.
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
        """Return the input of the last linear layer, float32 (N, F), likewise."""
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
        # 500 CIFAR images stay near the CPU's caches; larger images come in smaller batches.
        most, pixels = (500, 500_000) if self.mean.device.type == "cpu" else (4000, 16_000_000)
        size = max(8, min(most, pixels // max(1, images.shape[2] * images.shape[3])))
        with torch.no_grad(), evaluating(self):
            return torch.cat([run(part.to(self.mean.device)) for part in torch.split(images, size)])

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
        """Return weights and buffers as contiguous CPU tensors of their own, for safetensors."""
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self.state_dict().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` returned, from a model of the same architecture."""
        self.load_state_dict(dict(state))


def _last(kind: type[M], net: nn.Module) -> M:
    found = [module for module in net.modules() if isinstance(module, kind)]
    if not found:
        raise ContractError(f"the network {type(net).__name__} has no nn.{kind.__name__}")
    return found[-1]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode for a while."""
    modes = {module: module.training for module in model.modules() if module.training}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def create(
    name: str, classes: int, shape: Shape, device: torch.device | str, hook: ModelHook | None = None
) -> nn.Module:
    """Build a network with random weights for images of shape (C, H, W) and check that it takes them.

    Args:
        name: asked of ``hook`` first, then of benchkit's own networks, and of timm last.
        classes: number of logits.
        shape: (C, H, W).
        device: where its weights live.
        hook: the ``benchkit_model`` hook.

    Raises:
        SpecError: when nobody knows the name, or the network cannot take such images.
    """
    channels, height, _ = shape
    net = hook(name=name, classes=classes, channels=channels, size=height) if hook else None
    net = _ours_or_timms(name, classes, shape) if net is None else net
    _probe(name, net, classes, shape)
    return net.to(device)


def require_known(name: str, hook: ModelHook | None = None) -> None:
    """Raise SpecError, with a suggestion, unless a plugin, benchkit itself or timm knows the name."""
    if (hook and hook(name=name, classes=10, channels=3, size=32) is not None) or name in NETS:
        return
    import timm

    if not timm.is_model(name):
        raise SpecError(f"there is no model '{name}'{did_you_mean(name, [*NETS, *timm.list_models()])}")


def require_usable(name: str, hook: ModelHook | None = None) -> None:
    """Raise SpecError unless a name is known, and one of timm's has a last layer that attacks and defenses can use.

    Nothing is computed, and no weight allocated. What cannot be told so is told when the network is built.
    """
    require_known(name, hook)
    if (hook and hook(name=name, classes=10, channels=3, size=32) is not None) or name in NETS:
        return
    import timm

    try:
        with torch.device("meta"), torch.no_grad():
            net = linear_head(timm.create_model(name, num_classes=10)).eval()
            sides: Any = timm.get_pretrained_cfg_value(name, "input_size") or (3, 224, 224)
            logits, own = asked(net, torch.zeros(1, *sides))
    except (ValueError, AssertionError, RuntimeError, TypeError):
        return
    if not own or logits.shape != (1, 10):
        raise _headless(name)


def _headless(name: str) -> SpecError:
    return SpecError(
        f"model {name} cannot be used: its logits are not those of its last linear layer, into which attacks and "
        "defenses look (networks for distillation average two heads): choose another"
    )


def _ours_or_timms(name: str, classes: int, shape: Shape) -> nn.Module:
    require_known(name)
    for build in _ways(name):
        try:
            return build(classes, shape)
        except TypeError:
            continue
        except (ValueError, AssertionError, RuntimeError) as error:
            raise _unfit(name, shape, error) from error
    raise SpecError(f"model {name} cannot be built for {shape[0]}-channel images")


def _ways(name: str) -> Iterator[Build]:
    """Yield the ways to build a network; one that raises TypeError is not how this one is built."""
    if name in NETS:
        yield NETS[name]
        return
    import timm

    def made(classes: int, shape: Shape, **sized: Any) -> nn.Module:
        return linear_head(timm.create_model(name, num_classes=classes, in_chans=shape[0], **sized))

    yield lambda classes, shape: made(classes, shape, img_size=shape[1:])
    # most convolutional networks take any size, and have no such argument
    yield made


def _unfit(name: str, shape: Shape, error: Exception) -> SpecError:
    reason = str(error).partition("\n")[0]
    return SpecError(f"model {name} cannot take {'x'.join(map(str, shape))} images: {reason}")


def _probe(name: str, net: nn.Module, classes: int, shape: Shape) -> None:
    try:
        with torch.no_grad(), evaluating(net):
            logits, own = asked(net, torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)))
    except (ValueError, AssertionError, RuntimeError, IndexError) as error:
        raise _unfit(name, shape, error) from error
    if not own and not isinstance(logits, Tensor):
        raise _headless(name)
    if logits.shape != (1, classes):
        raise SpecError(f"model {name} returns {tuple(logits.shape)} for one image, not (1, {classes})")
    if not own:
        raise _headless(name)
