"""The folders are the data flow: which may import which, said in each folder's docstring and held here."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import benchkit

HOME = Path(benchkit.__file__).parent
PLUGINS = HOME.parent / "plugins"
BASE = {"errors", "text", "files", "hashing", "__init__"}
"""Files beside the folders that every folder may import."""
FOLDERS = sorted(path.parent.name for path in HOME.glob("*/__init__.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(HOME.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in HOME.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of benchkit that a file imports, for typing too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                full = f"{node.module}.{one.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


ARROWS = {name: {one for one in imported(path) if one in MODULES and one != name} for name, path in MODULES.items()}


def room(module: str) -> str:
    """Return the top-level folder of a module, or the file that stands beside the folders."""
    return [*module.split("."), "__init__"][1]


def rooms() -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, targets in ARROWS.items():
        found[room(name)] |= {room(one) for one in targets} - {room(name)}
    return found


def folder_of(module: str) -> str:
    """Return the folder of a module at any depth, such as ``report.tables``; "" for what stands beside the folders."""
    path = MODULES[module].relative_to(HOME).parent
    return ".".join(path.parts)


def declared(folder: str) -> set[str]:
    doc = ast.get_docstring(ast.parse((HOME / folder / "__init__.py").read_text())) or ""
    if "May import no other folder." in doc:
        return set()
    (names,) = re.findall(r"May import: ([^.]*)\.", doc)
    return set(names.replace("\n", " ").replace(" ", "").split(","))


@pytest.mark.parametrize("folder", sorted({*FOLDERS} - {"cli"}))
def test_a_folder_imports_what_its_docstring_says(folder: str) -> None:
    assert rooms()[folder] - BASE == declared(folder)


def test_no_file_and_no_folder_is_in_a_circle() -> None:
    faces = {
        "benchkit",
        "benchkit.__main__",
    }  # the public face hands on what is below it
    TopologicalSorter({name: targets - faces for name, targets in ARROWS.items()}).prepare()
    TopologicalSorter({name: targets - {"__init__"} for name, targets in rooms().items()}).prepare()
    folders: dict[str, set[str]] = defaultdict(set)
    for name, targets in ARROWS.items():
        folders[folder_of(name)] |= {folder_of(one) for one in targets - faces} - {folder_of(name), ""}
    TopologicalSorter({name: targets for name, targets in folders.items() if name}).prepare()


def test_only_the_command_line_imports_the_command_line() -> None:
    assert {name for name, targets in rooms().items() if "cli" in targets} <= {"__main__"}


def test_no_attack_imports_a_defense_and_no_method_anothers_parts() -> None:
    """A helper of two methods is in ``_shared``; one for outsiders, too, is in ``benchkit.ops``."""
    for path in PLUGINS.rglob("*.py"):
        package = ("benchkit_plugins", *path.relative_to(PLUGINS).parent.parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            full = base if node.level else tuple((node.module or "").split("."))
            if full[0] == "benchkit_plugins" and "_shared" not in package:
                assert full[1] == "_shared" or full[: len(package)] == package, f"{path}: {'.'.join(full)}"
