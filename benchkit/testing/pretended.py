"""A GPU for machines without one: tensors stay where they are, and what a real one would refuse is refused.

Code that has never met a GPU fails there for one reason above all: a tensor that was left on the other device. Inside
of :func:`gpu` every tensor's memory remembers whether it is meant to be on ``cuda:0``, and a call with tensors of both
devices raises, as CUDA does. What a GPU computes differently, or cannot compute, is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Self, cast
from unittest import mock

import torch
from torch import Tensor
from torch._C import _functorch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda:0")
HOST = torch.device("cpu")
THERE: dict[int, StorageWeakRef] = {}
"""The memory that is meant to be on the GPU, by its address."""
FORGET = 10_000
"""Results between two looks for memory in it that is gone."""
GETTERS: Mapping[Any, Callable[[torch.device], Any]] = {
    cast("Any", Tensor.device).__get__: lambda where: where,
    cast("Any", Tensor.is_cuda).__get__: lambda where: where == GPU,
    cast("Any", Tensor.is_cpu).__get__: lambda where: where == HOST,
}
GRADIENT = cast("Any", Tensor.grad).__get__
ACROSS = {"copy_", "_has_compatible_shallow_copy_type", "__set__"}
"""What takes tensors of both devices."""
INDEXED = {"__getitem__", "__setitem__", "index_put_", "index_put"}
"""What takes indices on the CPU for tensors on the GPU."""
TOGETHER = {"cat", "concat", "stack", "hstack", "vstack"}
"""What takes no single number from the other device either."""
NUMPY = {"numpy", "__array__", "__dlpack__"}
ANSWERS: Mapping[str, Any] = {
    "is_available": True,
    "device_count": 1,
    "is_bf16_supported": False,
    "get_device_name": "a pretended GPU",
    "get_rng_state": torch.empty(0, dtype=torch.uint8),
    "mem_get_info": (2**33, 2**33),
    **dict.fromkeys(("max_memory_allocated", "memory_reserved", "memory_allocated"), 0),
    **dict.fromkeys(("synchronize", "empty_cache", "reset_peak_memory_stats", "set_rng_state", "manual_seed_all")),
}
"""What ``torch.cuda`` says of it."""
CAPTURES = ("_cuda_graph_capture_health_check", "_accelerator_graph_capture_health_check")
"""What optimizers would ask a driver, before torch 2.11 and since."""


@contextmanager
def gpu() -> Iterator[None]:
    """Inside of the block there is a GPU, ``cuda:0``: the first of the machine, or, without one, a pretended one."""
    if torch.cuda.is_available():
        yield
        return
    answers = {name: _always(answer) for name, answer in ANSWERS.items()}
    quiet = {name: _always(None) for name in CAPTURES if hasattr(torch.optim.Optimizer, name)}
    with (
        mock.patch.multiple(torch.cuda, **{**answers, "device": nullcontext}),
        mock.patch.multiple(torch.optim.Optimizer, **quiet),
        mock.patch("torch.Generator", _Generator),
        _Pretended(),
    ):
        yield


def _always(answer: Any) -> Any:
    return lambda *_, **__: answer


class _Pretended(TorchFunctionMode):
    """Follows every call of torch: refuses what a GPU would, computes the others, and remembers where results are."""

    results = 0

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        how, name = dict(kwargs or {}), getattr(func, "__name__", str(func))
        if func in GETTERS:
            return GETTERS[func](_where(args[0]))
        if func == GRADIENT:
            return self._put(func(*args), _where(args[0]))
        if name == "pin_memory":
            return args[0]
        if name in {"to", "cpu", "cuda"} and isinstance(args[0], Tensor):
            return self._moved(name, args, how)
        given, wanted = _together(name, args, how), how.get("device")
        if wanted is not None and _device(wanted) in {GPU, HOST}:
            how["device"] = HOST
        where = given if wanted is None else _device(wanted)
        _refuse(name, where, how.get("generator"))
        made = func(*args, **how)
        return made if name in {"__set__", "__setitem__"} else self._put(made, where)

    def _put(self, made: Any, where: torch.device) -> Any:
        """Remember where the tensors of a result are meant to be, and now and then forget what is gone."""
        for tensor in _tensors(made):
            key = _storage(tensor)
            if where == GPU and key:
                THERE[key] = StorageWeakRef(_plain(tensor).untyped_storage())
            elif where == HOST:
                THERE.pop(key, None)
            self.results += 1
            if self.results % FORGET == 0:
                for gone in [key for key, one in THERE.items() if one.expired()]:
                    del THERE[gone]
        return made

    def _moved(self, name: str, args: tuple[Any, ...], how: dict[str, Any]) -> Tensor:
        """Do what ``to``, ``cpu`` and ``cuda`` do."""
        tensor, was, asked = args[0], _where(args[0]), [*args[1:], how.get("device"), how.get("dtype")]
        moves = [_where(one) for one in asked if isinstance(one, Tensor)]
        named = [one for one in asked if isinstance(one, str | int | torch.device) and not isinstance(one, bool)]
        moves += map(_device, named)
        wanted = {"cpu": HOST, "cuda": GPU}.get(name) or [*moves, was][0]
        if wanted.type == "meta":
            return cast("Tensor", tensor.to(*args[1:], **how))
        kinds = [one.dtype if isinstance(one, Tensor) else one for one in asked]
        dtype = next((one for one in kinds if isinstance(one, torch.dtype)), tensor.dtype)
        layout = how.get("memory_format") or torch.preserve_format
        copied: Tensor = tensor.to(dtype, copy=wanted != was or how.get("copy", False), memory_format=layout)
        return cast("Tensor", self._put(copied, wanted))


class _Generator(torch.Generator):
    """A generator that says of which device it is meant to be."""

    device = HOST

    def __new__(cls, device: Any = HOST) -> Self:
        made = super().__new__(cls)
        made.device = _device(device)
        return made


def _together(name: str, args: tuple[Any, ...], how: Mapping[str, Any]) -> torch.device:
    """Return the device of the tensors that are given, the CPU where there are none.

    Raises:
        RuntimeError: where a GPU would refuse them together.
        TypeError: where numpy would.
    """
    given = _tensors((args, how))
    if name in NUMPY and GPU in map(_where, given):
        raise TypeError(f"{name} was asked of a tensor on cuda:0: numpy needs .cpu() first")
    if name in INDEXED and _where(args[0]) == GPU:
        given = [args[0], *_tensors(args[2:] if _tensors(args[1]) else ())]
    if name in ACROSS:  # what is written to stays where it is
        return _where(args[0])
    counted = {_where(one) for one in given if one.dim() or name in TOGETHER or _where(one) == GPU}
    if len(counted) > 1:
        raise RuntimeError(
            f"{name} was given tensors of two devices, {' and '.join(sorted(map(str, counted)))}: make new ones with "
            "device=scene.device, or move them with .to(scene.device)"
        )
    return GPU if GPU in counted else HOST


def _refuse(name: str, where: torch.device, rng: Any) -> None:
    """Raise RuntimeError where a generator is of another device than what it fills."""
    if isinstance(rng, torch.Generator) and where in {GPU, HOST} and rng.device != where:
        raise RuntimeError(
            f"{name} was given a generator of {rng.device} for a tensor on {where}: draw on the CPU, and move that"
        )


def _where(tensor: Tensor) -> torch.device:
    """Return where a tensor is meant to be."""
    if tensor.device.type != "cpu":
        return tensor.device
    known = THERE.get(_storage(tensor))
    return GPU if known and not known.expired() else HOST


def _device(asked: Any) -> torch.device:
    found = torch.device("cuda", asked) if isinstance(asked, int) else torch.device(asked)
    return GPU if found.type == "cuda" else found


def _tensors(values: Any) -> list[Tensor]:
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]


def _storage(tensor: Tensor) -> int:
    """Return what identifies a tensor's memory; 0 where it has none."""
    try:
        return int(_plain(tensor).untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return 0


def _plain(tensor: Tensor) -> Tensor:
    """Return the tensor itself where ``vmap`` or ``grad`` has wrapped it."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor
