"""Networks by name: from plugins, benchkit or timm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchkit.errors import SpecError, did_you_mean
from benchkit.models.classifier import evaluating
from benchkit.models.heads import asked, linear_head
from benchkit.models.networks import NETS, Build, Shape

ModelHook = Callable[..., "nn.Module | None"]
"""``hook(name=str, classes=int, channels=int, height=int, width=int)`` -> a network, or None."""
TRIED = {"classes": 10, "channels": 3, "height": 32, "width": 32}
"""What a plugin is asked with to find out which names it knows."""


def create(
    name: str, classes: int, shape: Shape, device: torch.device | str, hook: ModelHook | None = None
) -> nn.Module:
    """Return a network with random weights for images of shape (C, H, W), after a check that it takes them.

    Args:
        name: looked up with ``hook`` first, then in benchkit's own networks, then in timm.
        classes: number of logits.
        shape: (C, H, W).
        device: the device of its weights.
        hook: the ``benchkit_model`` hook.

    Raises:
        SpecError: if the name is unknown, or the network cannot take such images.
    """
    channels, height, width = shape
    net = hook(name=name, classes=classes, channels=channels, height=height, width=width) if hook else None
    net = _ours_or_timms(name, classes, shape) if net is None else net
    _probe(name, net, classes, shape)
    return net.to(device)


def require_known(name: str, hook: ModelHook | None = None) -> None:
    """Raise SpecError, with a suggestion, unless a plugin, benchkit or timm knows the name."""
    if (hook and hook(name=name, **TRIED) is not None) or name in NETS:
        return
    import timm

    if not timm.is_model(name):
        raise SpecError(f"there is no model '{name}'{did_you_mean(name, [*NETS, *timm.list_models()])}")


def require_usable(name: str, hook: ModelHook | None = None) -> None:
    """Raise SpecError for an unknown name, or a timm network whose last layer attacks and defenses cannot use.

    Nothing is computed, and no weights are allocated. Faults that this cannot find are found when the network is built.
    """
    require_known(name, hook)
    if (hook and hook(name=name, **TRIED) is not None) or name in NETS:
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
    """Yield the ways to build a network; a way that raises TypeError does not fit this network."""
    if name in NETS:
        yield NETS[name]
        return
    import timm

    def made(classes: int, shape: Shape, **sized: Any) -> nn.Module:
        return linear_head(timm.create_model(name, num_classes=classes, in_chans=shape[0], **sized))

    yield lambda classes, shape: made(classes, shape, img_size=shape[1:])
    # most convolutional networks take any size and have no such argument
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
