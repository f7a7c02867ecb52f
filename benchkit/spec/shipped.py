"""Files that installed packages bring: suites and tables of published numbers, which go by name.

A package announces a folder of them by an entry point of the group ``benchkit.files`` whose value is the name of the
package that the folder is. Nothing in it is imported: its ``*.toml`` are suites, its ``*.csv`` published numbers.
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from benchkit.errors import SpecError, did_you_mean
from benchkit.spec.suite import read_toml

GROUP = "benchkit.files"
WHAT = {".toml": "suite", ".csv": "table of published numbers"}


def shipped(ending: str) -> dict[str, Path]:
    """Return the files of installed packages that end in ``.toml`` or ``.csv``, by name, sorted."""
    found = {path.stem: path for folder in _folders() for path in sorted(folder.glob(f"*{ending}"))}
    return dict(sorted(found.items()))


def _folders() -> list[Path]:
    values = sorted({point.value for point in entry_points(group=GROUP)})
    return [Path(place) for value in values for place in _places(value)]


def _places(package: str) -> list[str]:
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(package)
        return list(spec.submodule_search_locations or []) if spec else []
    return []


def located(given: Path, ending: str) -> Path:
    """Return the file that a path or a name stands for; a file of that path comes first.

    Raises:
        SpecError: if there is neither such a file nor one that is installed under this name.
    """
    known = shipped(ending)
    if given.exists() or given.suffix or len(given.parts) > 1:
        return given
    if str(given) not in known:
        what = WHAT[ending]
        raise SpecError(f"there is no file {given}, nor a {what} of that name{did_you_mean(str(given), known)}")
    return known[str(given)]


@dataclass(frozen=True)
class Suite:
    """What a suite says of itself.

    Attributes:
        about: the prose at its head.
        commands: the commands there (the lines set in by two spaces).
        asked: what it asks for, by the names of options.
    """

    name: str
    about: str
    commands: tuple[str, ...]
    asked: dict[str, Any]


def told(path: Path) -> Suite:
    """Read what a suite says of itself.

    Raises:
        SpecError: if the file cannot be read, or is not TOML.
    """
    source, asked = read_toml(path, "suite")
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
    return Suite(path.stem, " ".join(words), tuple(commands), asked)
