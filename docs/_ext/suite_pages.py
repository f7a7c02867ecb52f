"""One Markdown page of all suites in ``benchmarks/suites``: what their headers say, and the files."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

from component_pages import prose

KEYS = {"recipes": "recipe"}
PRODUCT = ("attacks", "defenses", "datasets", "models", "seeds")


def header(source: str) -> tuple[str, list[str]]:
    """Return the prose at the head of a suite, and the commands in it (the lines set in by two spaces)."""
    words: list[str] = []
    commands: list[str] = []
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        said = line.removeprefix("#").removeprefix(" ")
        if said.startswith("  "):
            commands += [part.strip() for part in said.split(";")]
        else:
            words.append(said)
    return " ".join(words), commands


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else value if isinstance(value, int) else 1


def size(suite: dict[str, object]) -> str:
    """Return the product that a suite asks for, in words, the column of undefended victims included."""
    counts = {word: _count(suite.get(word, 1)) for word in PRODUCT}
    if "defenses" in suite and suite.get("victims", True):
        counts["defenses"] += 1
    shown = [f"{count} {word if count > 1 else word[:-1]}" for word, count in counts.items()]
    return f"{' x '.join(shown)}: {math.prod(counts.values())} cells"


def naming(folder: Path, kind: str, name: str) -> list[str]:
    """Return the suites that name a component of a kind (``attacks``, ``models``, ...), wrapped or not."""
    word = re.compile(rf"(^|[=,+]){re.escape(name)}($|[:,+])")
    found = []
    for path in sorted(folder.glob("*.toml")):
        said = tomllib.loads(path.read_text(encoding="utf-8")).get(KEYS.get(kind, kind), [])
        found += [path.stem] if any(word.search(one) for one in ([said] if isinstance(said, str) else said)) else []
    return found


def page(folder: Path) -> str:
    """Return the page."""
    parts = ["# The suites", "Each file is a run: what it is for, how to start it, and what is in it."]
    for path in sorted(folder.glob("*.toml")):
        source = path.read_text(encoding="utf-8")
        words, commands = header(source)
        parts += [f"## {path.stem}", prose(words), f"**Size**: {size(tomllib.loads(source))}."]
        parts += ["```sh\n" + "\n".join(commands) + "\n```"] if commands else []
        body = [line for line in source.splitlines() if not line.startswith("#")]
        parts.append("```toml\n" + "\n".join(body) + "\n```")
    return "\n\n".join(parts)
