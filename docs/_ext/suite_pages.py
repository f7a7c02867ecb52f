"""One Markdown page of all suites in ``benchmarks/suites``: what their headers say, and the files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from component_pages import prose

from benchkit.execute.outlook import outlook
from benchkit.spec.registry import Registry, load
from benchkit.spec.shipped import told

KEYS = {"recipes": "recipe"}


def naming(folder: Path, kind: str, name: str) -> list[str]:
    """Return the suites that name a component of a kind (``attacks``, ``models``, ...), wrapped or not."""
    word = re.compile(rf"(^|[=,+]){re.escape(name)}($|[:,+])")
    found = []
    for path in sorted(folder.glob("*.toml")):
        said = tomllib.loads(path.read_text(encoding="utf-8")).get(KEYS.get(kind, kind), [])
        found += [path.stem] if any(word.search(one) for one in ([said] if isinstance(said, str) else said)) else []
    return found


def _size(path: Path, registry: Registry) -> str:
    """Return how much work a suite is and what data it needs, as a list of two items."""
    ahead = outlook(path, registry)
    work = f"{ahead.cells:,} cells, {ahead.models:,} networks to train, {ahead.fits:,} fits of defenses"
    data = ", ".join(f"`{name}`" for name in ahead.data)
    return f"- **Size**: {ahead.product}: {work}.\n- **Data**: {data}."


def page(folder: Path) -> str:
    """Return the page."""
    parts = ["# The suites", "Each file is a run: what it is for, how to start it, and what is in it."]
    registry = load()
    for path in sorted(folder.glob("*.toml")):
        source, suite = path.read_text(encoding="utf-8"), told(path)
        parts += [f"## {path.stem}", prose(suite.about), _size(path, registry)]
        parts += ["```sh\n" + "\n".join(suite.commands) + "\n```"] if suite.commands else []
        body = [line for line in source.splitlines() if not line.startswith("#")]
        parts.append("```toml\n" + "\n".join(body) + "\n```")
    return "\n\n".join(parts)
