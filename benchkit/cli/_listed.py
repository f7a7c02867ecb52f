"""Everything that has a name: components of plugins, recipes and networks, for ``plugins`` and ``show``."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchkit.spec.installed import GROUP, PluginInfo

if TYPE_CHECKING:
    from benchkit.models.networks import Build
    from benchkit.spec.registry import Registry

KINDS = ("attacks", "defenses", "datasets", "models", "recipes")
ACCESS = {"data": "poisons data", "training": "controls training", "none": "benign rows"}
WRAPS = "wraps another attack"
DATED = re.compile(r"[^:]*?\b\d{4}\b")
MARKUP = re.compile(r"(?::\w+:)?`+(.+?)`+", re.DOTALL)


@dataclass(frozen=True)
class Listed:
    """One thing that a command line can name.

    Attributes:
        kind: ``attack``, ``defense``, ``dataset``, ``model`` or ``recipe``.
        group: what it is among those of its kind; "" where there are no groups.
        text: its description, plain text.
        plugin: who brought it.
        made: its class, or the function that builds a network.
        access: of an attack: ``data``, ``training`` or ``none``.
    """

    kind: str
    name: str
    group: str
    text: str
    paper: str
    plugin: PluginInfo
    made: Any
    access: str = ""

    @property
    def about(self) -> str:
        """Its description in one sentence or two: the first paragraph."""
        return " ".join(self.text.split("\n\n")[0].split())

    @property
    def source(self) -> str:
        """The authors, venue and year of its paper."""
        return found[0] if (found := DATED.match(self.paper)) else ""


def listed(registry: Registry) -> Iterator[Listed]:
    """Yield what is installed, by kind, group and name."""
    for kind in KINDS[:3]:
        found = [_component(kind[:-1], entry.cls, entry.plugin) for entry in registry.kind(kind).values()]
        yield from sorted(found, key=_place)
    yield from networks()
    yield from recipes()


def networks() -> Iterator[Listed]:
    """Yield benchkit's own networks; timm has a thousand others."""
    from benchkit.models.networks import NETS

    harness = PluginInfo("models", "benchkit.models.networks", GROUP)
    for name, build in sorted(NETS.items()):
        described, paper = documented(build)
        yield Listed("model", name, "", plain(described), paper, harness, build)


def documented(build: Build) -> tuple[str, str]:
    """Return the docstring of a network, with its markup, and the paper that a last paragraph ``Paper: ...`` names.

    The docstring is that of the function that builds it, then that of its class.
    """
    told = (build.__doc__, typing.get_type_hints(build)["return"].__doc__)
    text, _, paper = "\n\n".join(inspect.cleandoc(one or "") for one in told).partition("\n\nPaper: ")
    return text, " ".join(paper.split())


def recipes() -> Iterator[Listed]:
    """Yield the recipes."""
    from benchkit.training.recipes import RECIPES

    harness = PluginInfo("recipes", "benchkit.training.recipes", GROUP)
    yield from (_component("recipe", cls, harness) for _, cls in sorted(RECIPES.items()))


def plain(docstring: str) -> str:
    """Return a docstring without its indentation and markup."""
    return MARKUP.sub(r"\1", inspect.cleandoc(docstring)).strip()


def _component(kind: str, cls: Any, plugin: PluginInfo) -> Listed:
    access = cls().access if kind == "attack" else ""
    group = _group(kind, cls, access)
    return Listed(kind, cls.name, group, plain(cls.__doc__ or ""), cls.paper, plugin, cls, access)


def _group(kind: str, cls: Any, access: str) -> str:
    from benchkit.components.wrapper import AttackWrapper

    if kind == "attack":
        return WRAPS if issubclass(cls, AttackWrapper) else ACCESS.get(access, access)
    return str(cls.kind) if kind == "defense" else ""


def _place(one: Listed) -> tuple[int, str]:
    from benchkit.records.metrics import HEADLINE

    order = [*ACCESS.values(), WRAPS] if one.kind == "attack" else [*HEADLINE]
    return (order.index(one.group) if one.group in order else len(order), one.name)
