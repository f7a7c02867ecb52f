"""Find the state dict in a file of weights that fits a network, or refuse the file."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchkit.scan.prepare import printable

COUNTER = "num_batches_tracked"
"""A counter of batch normalisation; the outputs of a trained model do not depend on it."""
DEPTH = 4
"""Maximum nesting depth of a state dict."""
SHOWN = 5
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class State:
    """A mapping of names to tensors, read as the state dict of a network.

    Attributes:
        place: its path in the file, such as ``checkpoint.state_dict``; "" at the top.
        prefix: the prefix of the network's names, such as ``module.``.
        own: tensors by name of the network.
        rest: tensors without the prefix, by name.
        known: how many of the names belong to the network.
    """

    place: str
    prefix: str = ""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    rest: Mapping[str, Tensor] = field(default_factory=dict)
    known: int = 0

    def normalisation(self) -> tuple[Tensor, Tensor] | None:
        """Return the mean and standard deviation that benchkit stores beside a network ``net``, if they exist."""
        for name, mean in self.rest.items():
            outer = name.removesuffix("mean")
            if outer + "mean" == name and outer + "std" in self.rest and self.prefix.startswith(f"{outer}net."):
                return mean, self.rest[f"{outer}std"]
        return None

    def strange(self) -> list[str]:
        """Return the names beside the network that are neither single numbers nor a normalisation."""
        said = self.normalisation() or ()
        return [
            name for name, one in self.rest.items()
            if not any(one is other for other in said) and not name.endswith(COUNTER) and (oddity(one) or one.ndim)
        ]  # fmt: skip


def states(found: Any, wanted: Mapping[str, Tensor]) -> list[State]:
    """Return every mapping with tensors in a file, read as a state dict with these names; outermost first."""
    return [_state(place, tensors, wanted) for place, tensors in _mappings(found)]


def _mappings(found: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield every mapping that contains tensors, with its place; outermost first, each once."""
    todo = deque[tuple[str, int, Any]]([("", 0, found)])
    seen = set[int]()
    while todo:
        place, depth, here = todo.popleft()
        if not isinstance(here, Mapping) or id(here) in seen or depth > DEPTH:
            continue
        seen.add(id(here))
        tensors = {str(name): one for name, one in here.items() if isinstance(one, Tensor)}
        if tensors or not (here or depth):
            yield place, tensors
        todo += [(f"{place}.{name}".lstrip("."), depth + 1, one) for name, one in here.items()]


def _state(place: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> State:
    """Split names at the prefix after which most of them are names of the network."""
    votes = Counter[str]()
    for name in tensors:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in wanted:
                votes["".join(f"{part}." for part in parts[:cut])] += 1
    prefix, known = max(votes.items(), key=lambda vote: (vote[1], -len(vote[0])), default=("", 0))
    own = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    rest = {name: one for name, one in tensors.items() if not name.startswith(prefix)}
    return State(place, prefix, {name: one for name, one in own.items() if _counts(name, wanted)}, rest, known)


def _counts(name: str, wanted: Mapping[str, Tensor]) -> bool:
    return name in wanted or not name.endswith(COUNTER)


def oddity(tensor: Tensor) -> str:
    """Return in a word why a tensor is not a plain dense tensor, or ""; its values are not read."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return "nested" if tensor.is_nested else "sparse"
    if tensor.device.type != "cpu":
        return "without values"
    if tensor.is_quantized or tensor.dtype not in (*FLOATS, *WHOLE):
        return "quantised" if tensor.is_quantized else str(tensor.dtype).removeprefix("torch.")
    if type(tensor) not in (Tensor, nn.Parameter):
        return f"a {type(tensor).__name__}"
    last = sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride(), strict=True))
    needed = (tensor.storage_offset() + last + 1) * tensor.element_size() if tensor.numel() else 0
    return "" if tensor.untyped_storage().nbytes() >= needed else "without values"


def faults(state: State, wanted: Mapping[str, Tensor]) -> list[str]:
    """Return a phrase for each tensor that is missing, unknown, not dense, of another shape or NaN.

    Values are read last, and only those of tensors with the shapes of the network.
    """
    odd = {name: word for name, one in state.own.items() if (word := oddity(one))}
    both = [(name, one, wanted[name]) for name, one in state.own.items() if name in wanted and name not in odd]
    fit = [(name, one, as_) for name, one, as_ in both if _sides(one) == _sides(as_)]
    found = {
        "missing": [name for name in wanted if name not in state.own and not name.endswith(COUNTER)],
        "unknown": [name for name in state.own if name not in wanted] + state.strange(),
        "not plain dense numbers": [f"{name} ({word})" for name, word in odd.items()],
        "of another shape": [
            f"{name} {_shown(one)} instead of {_shown(as_)}" for name, one, as_ in both if _sides(one) != _sides(as_)
        ],
        "not floating point": [name for name, one, as_ in fit if as_.is_floating_point() and one.dtype in WHOLE],
        "NaN or infinite": [name for name, one, _ in fit if one.dtype in FLOATS and not one.isfinite().all()],
    }
    return [f"{what}: {some(names)}" for what, names in found.items() if names]


def _sides(tensor: Tensor) -> tuple[int, ...]:
    """Return a shape without trailing ones: a convolution over one pixel is a linear layer."""
    sides = list(tensor.shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def _shown(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def some(names: Sequence[str]) -> str:
    """Return the first names, ready to be printed, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name[:100]) for name in names[:SHOWN]) + more
