"""Which plugins are installed, by the metadata of packages alone: nothing is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions

GROUP = "benchkit"


@dataclass(frozen=True)
class PluginInfo:
    """A plugin as its metadata (or ``-p``) announces it; nothing has been imported."""

    name: str
    target: str
    dist: str
    version: str = ""

    @property
    def loose(self) -> bool:
        """Whether it is a file that was named with ``-p``, which belongs to no distribution."""
        return self.dist == self.target


def find(environ: dict[str, str] | None = None) -> list[PluginInfo]:
    """List installed plugins from package metadata, built-ins first, without those ``BENCHKIT_DISABLE`` names."""
    off = disabled(environ)
    found = {(point.name, point.value): PluginInfo(point.name, point.value, *owner) for point, *owner in _points()}
    kept = [one for one in found.values() if not {one.name, one.dist} & off]
    return sorted(kept, key=lambda one: (one.dist != GROUP, one.dist, one.name))


def _points() -> Iterator[tuple[EntryPoint, str, str]]:
    """Yield each entry point of our group, with the name and version of its distribution.

    Of two distributions of one name the first on the path counts; one whose metadata cannot be read is none of ours.
    """
    seen = set()
    for dist in distributions():
        name, version = "?", ""
        with suppress(Exception):
            name, version = _told(dist)
        if name != "?" and name in seen:
            continue
        seen.add(name)
        with suppress(Exception):
            yield from ((point, name, version) for point in dist.entry_points.select(group=GROUP))


def _told(dist: Distribution) -> tuple[str, str]:
    """Return the name and version in the headers of a distribution, whose description nobody needs to parse."""
    headers = (dist.read_text("METADATA") or dist.read_text("PKG-INFO") or "").partition("\n\n")[0]
    told = {key: found[1] for key in ("Name", "Version") if (found := re.search(rf"(?m)^{key}:[ \t]*(\S+)", headers))}
    return told.get("Name", "?"), told.get("Version", "")


def disabled(environ: dict[str, str] | None = None) -> set[str]:
    """Return the plugin and distribution names that ``BENCHKIT_DISABLE`` switches off."""
    value = (os.environ if environ is None else environ).get("BENCHKIT_DISABLE", "")
    return {word.strip() for word in value.split(",") if word.strip()}
