"""Shell completion: names of components, read from the source text of plugins. No plugin and no torch is imported."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def listed(kind: str) -> Complete:
    """Complete the last name of a comma-separated list, ``badnets,bl`` to ``badnets,blend``.

    Args:
        kind: ``attacks``, ``defenses`` or ``datasets``, which also have ``all`` and ``-name``; ``models``; ``recipes``.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        before, comma, last = incomplete.rpartition(",")
        minus = "-" if comma and last.startswith("-") else ""
        names = named(kind, last, _files(ctx))
        whole = ["all"] if kind in HOOKED and not minus else []
        chosen = [name for name in (*whole, *names) if name.startswith(last.removeprefix(minus))]
        return [CompletionItem(f"{before}{comma}{minus}{name}") for name in chosen]

    return complete


def shown(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete a name for ``benchkit show``."""
    kinds = (*HOOKED, "models", "recipes")
    names = {name for kind in kinds for name in named(kind, incomplete, _files(ctx)) if name.startswith(incomplete)}
    return [CompletionItem(name) for name in sorted(names)]


def suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of an installed suite, or the path of a file."""
    from benchkit.spec.shipped import shipped

    names = [name for name in shipped(".toml") if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


HOOKED = ("attacks", "defenses", "datasets")


def named(kind: str, incomplete: str, files: Iterable[str]) -> list[str]:
    """Return the names of a kind, sorted; timm's models only after their first letter."""
    if kind == "models":
        return sorted({*_registered(_own("models/networks.py")), *(_timm() if incomplete else ())})
    if kind == "recipes":
        from benchkit.training.recipes import RECIPES

        return sorted(RECIPES)
    return sorted({name for text in _sources(files) for name in offered(text, kind)})


def _files(ctx: click.Context) -> tuple[str, ...]:
    found = ctx.params.get("plugins")
    return tuple(map(str, found)) if isinstance(found, tuple | list) else ()


def _sources(files: Iterable[str]) -> Iterator[str]:
    """Yield the source text of every installed plugin's module, and of loose files."""
    from benchkit.spec.installed import find

    paths = [source_of(one.target) for one in find()] + [Path(file).expanduser() for file in files]
    for path in paths:
        if path is not None and path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")


def source_of(module: str) -> Path | None:
    """Return a module's file without importing it or its parents: only the top-level package is looked up."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    tries = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
    paths = [file for path in tries for file in (path.with_suffix(".py"), path / "__init__.py")]
    return next((path for path in paths if path.is_file()), None)


def offered(text: str, kind: str) -> list[str]:
    """Return the names of the classes that a module defines and its hook of a kind mentions."""
    if f"benchkit_{kind}" not in text:
        return []
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return []
    names = {node.name: _name_in(node) for node in body if isinstance(node, ast.ClassDef)}
    hooks = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == f"benchkit_{kind}"]
    mentioned = [node.id for hook in hooks for node in ast.walk(hook) if isinstance(node, ast.Name)]
    return [name for cls in mentioned if (name := names.get(cls))]


def _name_in(cls: ast.ClassDef) -> str:
    """Return the value of ``name`` in a class body, or ""."""
    for node in cls.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "name":
            value = getattr(node, "value", None)
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
    return ""


def _own(file: str) -> list[Path]:
    return [Path(__file__).parents[1] / file]


def _timm() -> list[str]:
    spec = importlib.util.find_spec("timm")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return _registered(path for folder in folders for path in (folder / "models").glob("*.py"))


def _registered(paths: Iterable[Path]) -> list[str]:
    """Return the networks that these files add to timm's registry."""
    pattern = re.compile(rb"^@register_model\ndef (\w+)\(", re.MULTILINE)
    return [name.decode() for path in paths for name in pattern.findall(path.read_bytes())]


class Bash(BashComplete):
    """Bash also splits words at ``:`` and ``=``: here ``--attacks=blend:alpha=0.2,bad`` becomes one word again.

    Bash replaces only the text after the last of these marks, so only this part is returned.
    """

    kept = 0
    """The number of characters of the value that stay on the command line."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the completed one, and that one."""
        words = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
        *before, word = ["".join(split_arg_string(one)) for one in joined(words)]
        option = word.index("=") + 1 if word.startswith("-") and "=" in word else 0
        replaced = "" if BREAKS.fullmatch(words[-1]) else "".join(split_arg_string(words[-1]))
        self.kept = max(0, len(word) - len(replaced) - option)
        return before[1:], word

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the replacement for the last part of the word."""
        return f"{item.type},{item.value[self.kept :]}"


BREAKS = re.compile("[:=]+")


def joined(words: Iterable[str]) -> list[str]:
    """Join the words that bash split at ``:`` and ``=``."""
    found: list[str] = []
    glue = False
    for word in words:
        mark = BREAKS.fullmatch(word) is not None
        if found and (glue or mark):
            found[-1] += word
        else:
            found.append(word)
        glue = mark
    return found


class _Whole(ShellComplete):
    """A shell that replaces the whole word, while click completes only the part after ``--option=``."""

    before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the completed one, and that one."""
        words, word = super().get_completion_args()
        self.before = word[: word.index("=") + 1] if word.startswith("-") and "=" in word else ""
        return words, word

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the text for the script of the shell."""
        return super().format_completion(CompletionItem(f"{self.before}{item.value}", item.type, item.help))


class Zsh(_Whole, ZshComplete):
    """Zsh."""


class Fish(_Whole, FishComplete):
    """Fish; click's script for it cuts a value off at its first comma."""

    source_template = FishComplete.source_template.replace('split ","', 'split -m 1 ","')


for shell in (Bash, Zsh, Fish):
    add_completion_class(shell)
