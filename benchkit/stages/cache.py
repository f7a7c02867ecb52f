"""What a worker keeps between steps, and whether anybody wrote into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

from benchkit.errors import ContractError

T = TypeVar("T")


class Cache:
    """The last thing of each kind that was loaded or made. Plugins are handed it as it is, since copies are dear."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, Any, list[tuple[int, int]]]] = {}

    def __call__(self, what: str, key: str, make: Callable[[], T]) -> T:
        """Return what was made before under this key, or make it now and forget the last of its kind."""
        if what not in self._found or self._found[what][0] != key:
            self._found.pop(what, None)  # first, since either may be large
            made = make()
            self._found[what] = (key, made, _state(made))
        found: T = self._found[what][1]
        return found

    @contextmanager
    def untouched(self, name: str) -> Iterator[None]:
        """Let a plugin of this name work.

        Raises:
            ContractError: when it wrote into what it was given, which later steps would have been given, too.
        """
        try:
            yield
        except BaseException:
            self._forget_touched()
            raise
        if self._forget_touched():
            raise ContractError(f"{name} wrote into images or tensors that it was given: let it change a copy")

    def _forget_touched(self) -> bool:
        """Return whether something is not as it was made; all of it is then forgotten, since much shares memory."""
        touched = any(_state(made) != state for _, made, state in self._found.values())
        if touched:
            self._found.clear()
        return touched


def _state(value: object) -> list[tuple[int, int]]:
    """Return which tensors there are, and how often each was written to."""
    return [(id(one), 0 if one.is_inference() else one._version) for one in _tensors(value)]


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        return
    if isinstance(value, Mapping):
        inside: list[object] = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif is_dataclass(value):
        inside = [getattr(value, field.name) for field in fields(value)]
    else:
        return
    for one in inside:
        yield from _tensors(one)
