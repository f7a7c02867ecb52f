"""benchkit new: a small installable plugin package with a passing test, as a start."""

from __future__ import annotations

import keyword
import tempfile
from pathlib import Path
from string import Template

import click

from benchkit.errors import SpecError
from benchkit.params.component import name_fault
from benchkit.scaffold import package
from benchkit.scaffold.defenses import DEFENSES
from benchkit.text import say

BASES = {"attack": "Attack", "defense": "Defense", "dataset": "Dataset"}


@click.command("new")
@click.argument("what", type=click.Choice(list(BASES)))
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(DEFENSES)),
    help="What kind of defense.  [default: input-detector]",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where to write the package.  [default: ./benchkit-NAME]",
)
def cmd(what: str, name: str, kind: str | None, folder: Path | None) -> None:
    """Write a plugin package for an attack, a defense or a dataset called NAME, to be completed by you."""
    if kind and what != "defense":
        raise SpecError(f"--kind is for defenses: leave it out with {what}")
    _check_name(name)
    target = folder or Path(f"benchkit-{name}")
    write(target, files(what, name, kind or "input-detector"))
    say(f"wrote {target}; next: cd {target} && pip install -e . && pytest")


def _check_name(name: str) -> None:
    """Raise SpecError unless the name can be typed on a command line and turned into Python names."""
    if fault := name_fault(name):
        raise SpecError(fault)
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise SpecError(f"'{name}' is a word of Python's: choose another name")
    taken = _taken().get(name)
    if taken:
        raise SpecError(f"there already is a plugin '{name}' (in {taken}): choose another name")


def _taken() -> dict[str, str]:
    """Return the names of installed plugins and the distributions they come from."""
    from benchkit.spec.installed import find

    return {found.name: found.dist for found in find({})}


def files(what: str, name: str, kind: str) -> dict[str, str]:
    """Return the files of the package: path in the package -> text."""
    body = {"attack": package.ATTACK, "dataset": package.DATASET, "defense": DEFENSES[kind]}
    module = f"benchkit_{name.replace('-', '_')}"
    words = {
        "what": what,
        "group": f"{what}s",
        "base": BASES[what],
        "name": name,
        "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    texts = {
        "pyproject.toml": package.PYPROJECT,
        "README.md": package.README,
        f"{module}.py": package.HEAD + body[what] + package.HOOK,
        f"tests/test_{name.replace('-', '_')}.py": package.TEST,
    }
    return {path: Template(text).substitute(words) for path, text in texts.items()}


def write(target: Path, texts: dict[str, str]) -> None:
    """Write all files, or none: they are made in a temporary folder beside ``target``, which is then renamed.

    Raises:
        SpecError: if ``target`` exists and is not empty, or cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SpecError(f"{target} is already there and not empty: choose another place with --dir")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".benchkit-new-") as scratch:
            package = Path(scratch) / "package"
            for path, text in texts.items():
                (package / path).parent.mkdir(parents=True, exist_ok=True)
                (package / path).write_text(text, encoding="utf-8")
            package.rename(target)
    except OSError as error:
        raise SpecError(f"{target} cannot be written ({error}): choose another place with --dir") from error
