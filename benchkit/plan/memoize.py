"""Methods that work out the answer to each set of arguments once, for as long as their object lives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def once(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a method remember its answers, on its object: callers share them, and must not change them.

    The arguments must be hashable. Unlike ``functools.cache`` this keeps no object alive, nor need it be hashable.
    """

    @functools.wraps(method)
    def known(owner: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answers: dict[Any, R] = vars(owner).setdefault("_once", {})
        asked = (method.__name__, args, *kwargs.items())
        if asked not in answers:
            answers[asked] = method(owner, *args, **kwargs)
        return answers[asked]

    return known
