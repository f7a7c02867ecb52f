"""Which code a result depends on: every definition that can be reached from where the work begins.

The analysis reads source text and errs on the side of more. A name leads to what its module defines, or imports, under
it. An attribute such as ``.score`` leads to the methods of that name of every class that was reached, and a class that
is made from a library's counts whole, since the library may call any of its methods. Annotations count as uses: the
declared type of a parameter is where its methods are found. A module outside benchkit counts whole, with
what it imports from its own package. A module whose definitions are reached counts with the statements that run when
it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchkit.plan.source import HARNESS, Definition, Dotted, Module, is_plumbing, read, source

PLUGINS = "benchkit_plugins"
PLAIN = {("abc", "ABC"), ("typing", "NamedTuple"), ("typing", "Protocol"), ("typing", "Generic")}
"""Base classes of libraries that call no method of what is made from them."""
BEHIND = {("benchkit.contracts.scene", "Fitter"): ("benchkit.training.trainer", "Trainer")}
"""What the harness hands to plugins under the name of a protocol: plugins see the one, and run the other."""

Found = tuple[Module, Definition]


def reached(roots: Iterable[str]) -> frozenset[str]:
    """Return the digests of every definition that can be reached from some.

    Args:
        roots: ``module:name`` for one definition, or ``module`` for a whole module.

    Raises:
        LookupError: when one of them is not there.
    """
    walk = _Walk()
    for root in roots:
        name, _, definition = root.partition(":")
        module = read(name)
        found = lookup(module, (definition,)) if definition else whole(module)
        if not found:
            raise LookupError(f"there is no {root}")  # a key of nothing would never change
        walk.todo += found
    return walk.run()


class _Walk:
    def __init__(self) -> None:
        self.todo: list[Found] = []
        self.seen: set[int] = set()
        self.digests: set[str] = set()
        self.attributes: set[str] = set()
        self.waiting: dict[str, list[Found]] = {}  # methods of reached classes that nobody has called yet

    def run(self) -> frozenset[str]:
        while self.todo:
            module, definition = self.todo.pop()
            if id(definition) not in self.seen:
                self.seen.add(id(definition))
                self._visit(module, definition)
        return frozenset(self.digests)

    def _visit(self, module: Module, definition: Definition) -> None:
        self.digests.add(definition.digest)
        self.todo += [(module, module.definitions[""]), *_behind(module, definition)]
        for dotted in definition.uses:
            self.todo += lookup(module, dotted)
        for name in definition.attributes - self.attributes:
            self.attributes.add(name)
            self.todo += self.waiting.pop(name, [])
        called_by_library = _made_from_library(module, definition)
        for name, method in definition.methods.items():
            special = name.startswith("__") and name.endswith("__")
            called = name in self.attributes or special or called_by_library
            (self.todo if called else self.waiting.setdefault(name, [])).append((module, method))


def _behind(module: Module, definition: Definition) -> list[Found]:
    """Return what stands behind a protocol."""
    found = []
    for (name, protocol), (other, implementation) in BEHIND.items():
        if name == module.name and definition is module.definitions.get(protocol):
            found += lookup(read(other), (implementation,))
    return found


def _made_from_library(module: Module, definition: Definition) -> bool:
    """Say whether a class has a base class of a library, itself or by way of its own base classes."""
    return any(_is_library(module, dotted) for dotted in definition.bases if dotted)


def _is_library(module: Module, dotted: Dotted) -> bool:
    """Say whether a base class is a library's, or is made from one."""
    path = (*module.imports.get(dotted[0], ()), *dotted[1:])
    if path and path[0] not in {HARNESS, PLUGINS, module.name.partition(".")[0]}:
        return path not in PLAIN
    return any(_made_from_library(*one) for one in lookup(module, dotted))


def lookup(module: Module, dotted: Dotted) -> list[Found]:
    """Return the definitions that a dotted name leads to from inside a module; nothing for a library's."""
    head, *rest = dotted
    if head in module.definitions:
        return [(module, module.definitions[head])]
    if head not in module.imports:
        return []
    path = (*module.imports[head], *rest)
    if not _followed(path, module.name.partition(".")[0]):
        return []
    lengths = (length for length in range(len(path), 0, -1) if source(".".join(path[:length])))
    length = next(lengths, 0)
    name = ".".join(path[:length])
    if not length or is_plumbing(name):
        return []
    if path[0] == HARNESS and length < len(path):
        return lookup(read(name), path[length:])
    return whole(read(name))


def _followed(path: Dotted, package: str) -> bool:
    """Say whether a module of one package depends on the code behind an import; of libraries the versions are kept."""
    return path[0] in {HARNESS, package} or (path[0] == PLUGINS and package != HARNESS)


def whole(module: Module) -> list[Found]:
    """Return everything in a module, and outside benchkit everything it imports from plugins."""
    parts = [part for one in module.definitions.values() for part in (one, *one.methods.values())]
    found = [(module, part) for part in parts]
    for name, path in module.imports.items():
        if path[0] != HARNESS:
            found += lookup(module, (name,))
    return found
