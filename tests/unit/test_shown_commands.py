"""Command lines shown in the README and the documentation are ones that benchkit understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from benchkit.cli import cli
from benchkit.spec import spec
from benchkit.spec.registry import Registry, load

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/experiments/README.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$|((?:^    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash")
KINDS = ("attacks", "defenses", "datasets")


def shown(text: str) -> Iterator[list[str]]:
    """Yield the words of each benchkit command in the blocks of a page."""
    for block in BLOCK.finditer(text):
        if block[3] is None and block[1] not in SHELL:
            continue
        for line in (block[3] or block[2]).replace("\\\n", " ").splitlines():
            words = re.split(r"(?:^|&& |srun )(?=benchkit )", line.strip())[-1]
            if words.startswith("benchkit ") and "|" not in words:
                yield shlex.split(words, comments=True)[1:]


def parsed(words: list[str]) -> click.Context | None:
    """Return the context of the command that these words call; None for ``benchkit --help`` and its like."""
    command: click.Command = cli
    context = click.Context(cli, info_name="benchkit")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    if isinstance(command, click.Group):
        return None
    try:
        return command.make_context(command.name, list(words), parent=context)
    except click.BadParameter as error:  # files of the reader's own
        if "does not exist" not in error.message:
            raise
        return None


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Everything installed."""
    return load()


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_understood(page: str, registry: Registry) -> None:
    for words in shown((ROOT / page).read_text(encoding="utf-8")):
        context = parsed(words)
        if context is None or "-p" in words:
            continue
        for kind in KINDS:
            if context.params.get(kind):
                spec.components(context.params[kind], kind, registry)


def test_commands_are_found_at_all() -> None:
    counts = {page: len(list(shown((ROOT / page).read_text(encoding="utf-8")))) for page in PAGES}
    assert counts["README.md"] >= 4
    assert counts["docs/tour.md"] >= 20
    assert counts["docs/getting-started.md"] >= 10
    assert counts["docs/scan.md"] == 5
    assert counts["docs/clusters.md"] == 3


def test_help_is_generated_rather_than_quoted() -> None:
    for page in PAGES:
        assert "Usage: benchkit" not in (ROOT / page).read_text(encoding="utf-8"), page
