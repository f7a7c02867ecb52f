"""Keys: canonical JSON, its SHA-256, and fingerprints of code that ignore comments and docstrings."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from benchkit.params import Component

NEUTRAL = {
    "benchkit",
    "benchkit.api",
    "benchkit.kinds",
    "benchkit.build",
    "benchkit.params",
    "benchkit.scene",
    "benchkit.shadows",
    "benchkit.errors",
    "benchkit.hookspecs",
    "benchkit.thresholds",
}
"""Modules that declare contracts; importing them does not tie a plugin's results to their text."""


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, as hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def derive_seed(seed: int, *purpose: str) -> int:
    """Return a 63-bit seed for one purpose, so that no two uses of a run's seed share a random stream."""
    return int(digest([seed, *purpose])[:15], 16)


def component_id(component: Component, prepare: bool = False) -> dict[str, Any]:
    """Return what identifies a component in a key: name, parameters and code (or its pinned ``version``).

    With ``prepare`` the parameters declared ``prepares=False`` are left out, and ``prepared_as`` is the name.
    """
    params: dict[str, Any] = dict(component.prepare_params() if prepare else component.params())
    params |= {name: component_id(one, prepare) for name, one in component.nested().items() if name in params}
    code = type(component).__dict__.get("version") or code_of(*_lineage(type(component)))
    shared = component.prepared_as if prepare else ""
    return {"name": shared or component.name, "params": params, "code": code}


def _lineage(cls: type[Component]) -> tuple[str, ...]:
    """Return the modules that define a component class, base classes outside the contracts included."""
    return tuple(base.__module__ for base in cls.__mro__ if base.__module__ not in {"builtins", "abc", *NEUTRAL})


def code_of(*modules: str) -> str:
    """Return a fingerprint of modules and of the benchkit and ``_helper`` modules they import."""
    todo, seen = list(modules), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _module(name)[1]
    return digest(sorted(_module(name)[0] for name in seen))[:16]


def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Return (digest of the module's code, names of the modules whose code is part of it)."""
    path = _source(name)
    return _read(name, path) if path else (digest(name), ())


@functools.cache
def _read(name: str, path: Path) -> tuple[str, tuple[str, ...]]:
    tree = _essence(ast.parse(path.read_text(encoding="utf-8")))
    parts = name.split(".") + ["__init__"] * (path.name == "__init__.py")
    imports = tuple(sorted({found for node in ast.walk(tree) for found in _imports(node, parts)}))
    return digest(ast.unparse(tree)), imports


def _source(name: str) -> Path | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(name)
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


def _imports(node: ast.AST, module: list[str]) -> list[str]:
    """Return the imports of one syntax node that belong to the fingerprint of a module, given as its file's path."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        package = module[: -node.level] if node.level else []
        base = ".".join([*package, *([node.module] if node.module else [])])
        names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    else:
        return []
    return [name for name in names if _counts(name, module[0])]


def _counts(name: str, package: str) -> bool:
    ours = name.startswith("benchkit.") and name not in NEUTRAL
    # One of our plugins that imports another's class is not made of that file; of other packages nothing is known.
    helper = name.rpartition(".")[2].startswith("_") or package != "benchkit_plugins"
    return (ours or (helper and name.partition(".")[0] == package != "benchkit")) and _exists(name)


@functools.cache
def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError):
        return False


def _essence(tree: ast.Module) -> ast.Module:
    """Return a module without docstrings and without imports that only type checkers see."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
