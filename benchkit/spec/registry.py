"""Plugins, once they are found: import, isolate, index, suggest."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from benchkit.contracts import hookspecs
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.errors import BenchkitError, Ending, SpecError, did_you_mean
from benchkit.params.component import Component, class_fault
from benchkit.records.declared import declarations_fault
from benchkit.spec.installed import PluginInfo, find
from benchkit.spec.loose import import_file
from benchkit.text import describe_error, printable

KINDS: dict[str, type[Component]] = {"attacks": Attack, "defenses": Defense, "datasets": Dataset}


@dataclass(frozen=True)
class Entry:
    """One usable component class and where it came from."""

    cls: type[Any]
    plugin: PluginInfo


@dataclass
class Registry:
    """Every component that loaded, by kind and name, and one sentence for each thing that did not."""

    manager: pluggy.PluginManager
    attacks: dict[str, Entry] = field(default_factory=dict)
    defenses: dict[str, Entry] = field(default_factory=dict)
    datasets: dict[str, Entry] = field(default_factory=dict)
    loaded: list[PluginInfo] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why a plugin of this name could not be loaded."""

    def kind(self, kind: str) -> dict[str, Entry]:
        """Return the components of one kind (``attacks``, ``defenses`` or ``datasets``) by name."""
        entries: dict[str, Entry] = getattr(self, kind)
        return entries

    def get(self, kind: str, name: str) -> type[Any]:
        """Return a component class.

        Raises:
            SpecError: with a suggestion, or with everything there is.
        """
        known = self.kind(kind)
        if name not in known and name in self.failed:
            raise SpecError(self.failed[name])
        if name not in known:
            hint = did_you_mean(name, known) or f" (there are: {', '.join(sorted(known))})"
            raise SpecError(f"there is no {kind[:-1]} called '{name}'{hint}")
        return known[name].cls

    def find(self, contract: type[Any], name: str) -> type[Any]:
        """Return a component class by the contract it keeps (``Attack``, ``Defense``, ``Dataset``) and its name.

        Raises:
            SpecError: with a suggestion, or with everything there is.
        """
        return self.get(next(kind for kind, base in KINDS.items() if base is contract), name)

    def behind(self, components: Iterable[Component]) -> list[PluginInfo]:
        """Return the installed plugins that a process imports to make these components, and any network.

        They are those of the components' classes, nested ones included, and those that implement ``benchkit_model``.
        """
        offered = {entry.cls: entry.plugin for kind in KINDS for entry in self.kind(kind).values()}
        wanted = {offered[type(one)] for one in _with_nested(components) if type(one) in offered}
        hooks = self.manager.hook.benchkit_model.get_hookimpls()
        networks = {getattr(one.plugin, "__name__", one.plugin_name) for one in hooks}
        return [one for one in self.loaded if not one.loose and (one in wanted or one.target in networks)]

    def require(self, component: Component) -> None:
        """Make sure that a component, and each that is nested in it, is what its name stands for in worker processes.

        Raises:
            SpecError: when it is of a class that no plugin offers, such as one that was written in a notebook.
        """
        for one in _with_nested([component]):
            kind = next((kind for kind, base in KINDS.items() if isinstance(one, base)), None)
            known = self.kind(kind).get(one.name) if kind else None
            if kind and not (known and _alike(known.cls, type(one))):
                what = f"{type(one).__name__} is not the {kind[:-1]} that plugins call '{one.name}'"
                raise SpecError(f"{what}: put it in a file, and name that as a plugin")


def _with_nested(components: Iterable[Component]) -> Iterator[Component]:
    for one in components:
        yield one
        yield from _with_nested(one.nested().values())


def _alike(cls: type[Any], other: type[Any]) -> bool:
    """Say whether two classes are one, perhaps of a file that was imported twice."""
    files = [getattr(sys.modules.get(one.__module__), "__file__", None) for one in (cls, other)]
    same = files[0] is not None and files[0] == files[1] and cls.__qualname__ == other.__qualname__
    return cls is other or same


def load(files: Sequence[str | Path] = (), only: Sequence[PluginInfo] | None = None) -> Registry:
    """Import plugins and index their components; a broken one becomes a sentence in ``problems``.

    Args:
        files: loose plugin files (``-p``). The user named these, so a broken one is an error.
        only: installed plugins, as ``Registry.behind`` names them; None: every one, which alone tells of all clashes.

    Raises:
        SpecError: when a file in ``files`` cannot be loaded.
        BenchkitError: when torch cannot be imported.
    """
    require_torch()
    manager = pluggy.PluginManager("benchkit")
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager)
    with redirect_stdout(sys.stderr):  # standard output is for results
        for one in find() if only is None else only:
            registry.problems += map(printable, _register(registry, one))
        for path in files:
            for fault in _register(registry, PluginInfo(Path(path).stem, str(path), str(path))):
                raise SpecError(printable(fault))
    return registry


def require_torch() -> None:
    """Say what every plugin would say, once.

    Raises:
        BenchkitError: when torch cannot be imported.
    """
    try:
        importlib.import_module("torch")
    except Exception as error:  # a library that it is linked with may be missing, or of another version
        how = f"install it for this Python, such as with {sys.executable} -m pip install torch"
        raise BenchkitError(f"torch cannot be imported ({describe_error(error)}): {how}") from error


def _register(registry: Registry, found: PluginInfo) -> Iterator[str]:
    """Import and index one plugin; yield a sentence for each thing that is wrong with it."""
    where = f"plugin '{found.name}' ({found.dist})"
    try:
        module = import_file(Path(found.target)) if found.loose else importlib.import_module(found.target)
        fault = _module_fault(registry.manager, module, where)
    except (KeyboardInterrupt, Ending):
        raise
    except BaseException as error:
        registry.failed[found.name] = f"{where} could not be loaded and was left out: {describe_error(error)}"
        yield registry.failed[found.name]
        return
    if fault:
        yield fault
        return
    registry.loaded.append(found)
    for kind in KINDS:
        yield from _index(registry, kind, module, found)


def _module_fault(manager: pluggy.PluginManager, module: ModuleType, where: str) -> str | None:
    """Register a module's hooks unless it needs a newer benchkit or implements hooks that do not exist."""
    from benchkit import API_VERSION

    wanted = getattr(module, "BENCHKIT_API", API_VERSION)
    if wanted > API_VERSION:
        return f"{where} needs plugin API {wanted}, this benchkit has {API_VERSION}: upgrade benchkit"
    if manager.is_registered(module):
        return f"{where} is the same module as another plugin and was left out"
    manager.register(module, name=where)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        manager.unregister(module)
        return f"{where} implements a hook that does not exist and was left out: {error}"
    return None


def _index(registry: Registry, kind: str, module: ModuleType, found: PluginInfo) -> Iterable[str]:
    """Call one module's hook of one kind and index what it returns; yield a sentence for each fault."""
    hook = getattr(module, f"benchkit_{kind}", None)
    if hook is None:
        return
    where = f"plugin '{found.name}' ({found.dist})"
    try:
        classes = list(hook())
    except (KeyboardInterrupt, Ending):
        raise
    except BaseException as error:
        yield f"{where} failed in benchkit_{kind}: {describe_error(error)}"
        return
    for cls in classes:
        fault = _class_fault(kind, cls)
        if fault:
            yield f"{where}: {fault}"
            continue
        first = registry.kind(kind).setdefault(cls.name, Entry(cls, found))
        if first.cls is not cls:
            yield (
                f"{kind[:-1]} '{cls.name}' is offered by both {first.plugin.dist} and {found.dist}: "
                f"{first.plugin.dist} keeps the name; switch one off with BENCHKIT_DISABLE"
            )


def _class_fault(kind: str, cls: Any) -> str | None:
    base = KINDS[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return f"benchkit_{kind} must return subclasses of benchkit.{base.__name__}, got {cls!r}"
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        return f"{cls.__qualname__} does not define {', '.join(missing)}"
    fault = declarations_fault(getattr(cls, "metrics", ()))
    return class_fault(cls) or (f"{cls.__qualname__}: {fault}" if fault else None)
