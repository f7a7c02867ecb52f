"""Keys: canonical JSON, its SHA-256, and fingerprints of the code that a result depends on."""

from __future__ import annotations

import functools
from typing import Any, Literal

from benchkit.hashing import digest
from benchkit.params.component import Component
from benchkit.plan.reach import reached

CONTRACTS = ("benchkit.contracts.", "benchkit.params.")
"""Folders whose classes count where a stage, or a plugin, calls their methods."""
Method = Literal["prepare", "fit", "training"]
"""Methods of a component whose results are kept under keys of their own; ``training``: ``poison`` and ``train``."""


def component_id(component: Component, method: Method | None = None) -> dict[str, Any]:
    """Return what identifies a component in a key: name, parameters and code (or its pinned ``version``).

    For the key of one method's result, the parameters that this method does not use are left out (``used_by_prepare``,
    ``used_by_fit``, ``used_by_training``). ``prepared_as`` is the name for ``prepare``.
    """
    params = _params(component, method)
    params |= {name: component_id(one, method) for name, one in component.nested().items() if name in params}
    code = type(component).__dict__.get("version") or code_of(*_lineage(type(component)))
    shared = component.prepared_as if method == "prepare" else ""
    return {"name": shared or component.name, "params": params, "code": code}


def _params(component: Component, method: Method | None) -> dict[str, Any]:
    used = {
        None: component.params,
        "prepare": component.prepare_params,
        "fit": component.fit_params,
        "training": component.training_params,
    }
    return dict(used[method]())


def _lineage(cls: type[Component]) -> list[str]:
    """Return the modules that define a component class, base classes outside the contracts included."""
    modules = (base.__module__ for base in cls.__mro__)
    return [name for name in modules if name not in {"builtins", "abc"} and not name.startswith(CONTRACTS)]


def code_of(*roots: str) -> str:
    """Return a fingerprint of all code that can be reached from modules, or from definitions (``module:name``)."""
    return _code_of(roots)


@functools.cache
def _code_of(roots: tuple[str, ...]) -> str:
    return digest(sorted(reached(roots)))[:16]


@functools.cache
def identified(component: Component, method: Method | None = None) -> dict[str, Any]:
    """Return ``component_id``, worked out once per component and method."""
    return component_id(component, method)


@functools.cache
def stage_code(stage: str) -> str:
    """Return the fingerprint of the harness's own code that a stage runs, worked out once."""
    return code_of(f"benchkit.stages.run:make_{stage}")
