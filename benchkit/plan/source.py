"""A module's source text as definitions: what each one says, and which names it reads."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HARNESS = "benchkit"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
PLUMBING = tuple(f"{HARNESS}.{name}" for name in ("errors", "params", "spec", "store"))
"""Folders (and one module) that make no number: what they hand over is in the key itself, or is proved to be what was
stored; errors are for people."""

Dotted = tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """One piece of a module: a function, an assignment, or a class without its methods.

    Attributes:
        digest: SHA-256 of its text, without comments and docstrings.
        uses: dotted names that it reads, such as ``("gates", "images")``.
        attributes: names that it reads of whatever object, such as ``images``.
        methods: those of a class.
        bases: the dotted names of a class's bases.
    """

    digest: str
    uses: frozenset[Dotted]
    attributes: frozenset[str]
    methods: Mapping[str, Definition] = field(default_factory=dict)
    bases: tuple[Dotted, ...] = ()


@dataclass(frozen=True)
class Module:
    """A module's definitions by name, and the full dotted names behind what it imports.

    ``""`` is what runs when it is imported: statements that define nothing, and decorators that are its own or imported
    (they may keep what they decorate somewhere).
    """

    name: str
    definitions: Mapping[str, Definition]
    imports: Mapping[str, Dotted]


def source(name: str) -> Path | None:
    """Return the file of a module's source text, or None where there is none."""
    file = getattr(sys.modules.get(name), "__file__", None) or _installed(name)
    return Path(file) if file and file.endswith(".py") else None


@functools.cache
def _installed(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return spec.origin if spec else None


def read(name: str) -> Module:
    """Return what is in a module; of one without source text, its name."""
    path = source(name)
    return _read(name, path) if path else Module(name, {"": Definition(name, frozenset(), frozenset())}, {})


@functools.cache
def _read(name: str, path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name.split(".")[: None if path.name == "__init__.py" else -1]
    imports: dict[str, Dotted] = {}
    for node in ast.walk(tree):
        imports |= _imports(node, package)
        _strip(node)
    named: dict[str, list[ast.stmt]] = {"": []}
    for statement in tree.body:
        for bound in _names(statement):
            named.setdefault(bound, []).append(statement)
    found = {bound: _definition(statements) for bound, statements in named.items()}
    registered = [node for node in tree.body if _decorators(node) & (found.keys() | _harness(imports))]
    effects = found[""]
    uses = effects.uses | {(name,) for node in registered for name in _names(node)}
    return Module(name, found | {"": Definition(effects.digest, uses, effects.attributes)}, imports)


def _strip(node: ast.AST) -> None:
    """Take docstrings away, and strings that stand below what they describe."""
    if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS):
        node.body = [one for one in node.body if not _is_text(one)] or [ast.Pass()]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(node: ast.AST, package: list[str]) -> dict[str, Dotted]:
    """Return each name that a node binds by an import, and the full dotted name behind it."""
    if isinstance(node, ast.Import):
        whole = {one.asname: tuple(one.name.split(".")) for one in node.names if one.asname}
        return whole | {head: (head,) for one in node.names if not one.asname for head in one.name.split(".")[:1]}
    if not isinstance(node, ast.ImportFrom):
        return {}
    base = package[: len(package) - node.level + 1] if node.level else []
    base = [*base, *(node.module.split(".") if node.module else [])]
    return {one.asname or one.name: (*base, one.name) for one in node.names}


def _names(node: ast.stmt) -> list[str]:
    """Return what a statement of a module defines; ``""`` for one that only does something."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return []
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.ClassDef | FUNCTIONS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return names or [""]


def _definition(statements: list[ast.stmt]) -> Definition:
    methods: dict[str, list[ast.stmt]] = {}
    classes = [node for node in statements if isinstance(node, ast.ClassDef)]
    listed = (base for node in classes for base in node.bases)
    bases = tuple(_dotted(base.value if isinstance(base, ast.Subscript) else base) for base in listed)
    for node in classes:
        for one in node.body:
            if isinstance(one, FUNCTIONS):
                methods.setdefault(one.name, []).append(one)
        node.body = [one for one in node.body if not isinstance(one, FUNCTIONS)]
    text = "\n".join(ast.unparse(node) for node in statements)
    uses, attributes = _used(statements)
    parts = {name: _definition(nodes) for name, nodes in methods.items()}
    return Definition(hashlib.sha256(text.encode()).hexdigest(), uses, attributes, parts, bases)


def _used(nodes: Iterable[ast.AST]) -> tuple[frozenset[Dotted], frozenset[str]]:
    """Return the dotted names, and the names of attributes, that occur in some nodes."""
    uses, attributes, todo = set[Dotted](), set[str](), list(nodes)
    while todo:
        node = todo.pop()
        dotted = _dotted(node)
        if dotted:
            uses.add(dotted)
            attributes |= set(dotted[1:])
            continue
        if isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        todo += ast.iter_child_nodes(node)
    return frozenset(uses), frozenset(attributes)


def _dotted(node: ast.AST) -> Dotted:
    """Return ``("gates", "images")`` for ``gates.images``, and nothing for what is no chain of names."""
    if isinstance(node, ast.Name):
        return (node.id,)
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ()
    return (*inner, node.attr) if inner and isinstance(node, ast.Attribute) else ()


def _decorators(node: ast.stmt) -> set[str]:
    """Return the names that the decorators of a definition begin with."""
    listed = node.decorator_list if isinstance(node, ast.ClassDef | FUNCTIONS) else []
    return {dotted[0] for dotted in _used(listed)[0]}


def is_plumbing(name: str) -> bool:
    """Say whether a module makes no number."""
    return any(name == one or name.startswith(f"{one}.") for one in PLUMBING)


def _harness(imports: Mapping[str, Dotted]) -> set[str]:
    return {name for name, path in imports.items() if path[0] == HARNESS and not is_plumbing(".".join(path))}
