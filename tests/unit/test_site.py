"""The documentation site: it builds without a warning, covers what there is, and its links lead somewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import benchkit
from benchkit.cli import cli
from benchkit.params.component import fields_of
from benchkit.spec.installed import GROUP
from benchkit.spec.registry import load
from benchkit.training.recipes import RECIPES

ROOT = Path(__file__).parents[2]
BESIDE = ("benchmarks", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""What pages are made from, beside docs."""
needs_sphinx = pytest.mark.skipif(find_spec("sphinx") is None, reason="needs sphinx: pip install -e '.[docs]'")
pytestmark = [needs_sphinx, pytest.mark.slow]


class Page(HTMLParser):
    """What one page refers to, and what can be referred to on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the references and the anchor of one element."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy of its sources, so that nothing is written among them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("_build", "components"))
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "html"]
    unreachable = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    ran = subprocess.run(command, cwd=folder, env=os.environ | unreachable, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site, read."""
    return {path: Page(path) for path in site.rglob("*.html")}


def commands(command: click.Command, path: tuple[str, ...] = ("benchkit",)) -> Iterator[str]:
    """Yield a command and all below it, as sphinx-click names their sections."""
    yield "-".join(path)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


def test_every_built_in_has_a_page_with_all_its_parameters(site: Path) -> None:
    registry = load()
    kinds = {kind: registry.kind(kind) for kind in ("attacks", "defenses", "datasets")}
    found = [(kind, entry) for kind, group in kinds.items() for entry in group.values()]
    built_in = [(kind, entry.cls) for kind, entry in found if entry.plugin.dist == GROUP]
    assert len(built_in) > 30
    for kind, cls in [*built_in, *(("recipes", cls) for cls in RECIPES.values())]:
        page = (site / "components" / kind / f"{cls.name}.html").read_text(encoding="utf-8")
        for name in fields_of(cls):
            assert f'<span class="pre">{name}</span>' in page, f"{cls.name}: {name}"


def test_a_page_shows_the_trigger_and_what_was_measured(site: Path) -> None:
    text = (site / "components" / "attacks" / "blend.html").read_text(encoding="utf-8")
    assert text.count('<figure><img src="data:image/png;base64,') == 4
    assert ">freq-detector (BDR - control / AUROC)<" in text.replace("<p>", "").replace("</p>", "")
    text = (site / "components" / "defenses" / "freq-detector.html").read_text(encoding="utf-8")
    assert "<h2>Measured" in text
    assert "<figure>" not in text
    front = (site / "index.html").read_text(encoding="utf-8")
    assert "freq-detector (BDR - control / AUROC)" in front


def test_the_leaderboard_of_the_committed_records_is_part_of_it(site: Path) -> None:
    index = (site / "leaderboard" / "index.html").read_text(encoding="utf-8")
    assert "scenes, narrownet, fast, 10 % poisoned" in index
    assert 'href="leaderboard/index.html"' in (site / "leaderboard.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["slimnet", "narrownet", "narrownet_x2", "airbench94", "preactresnet18", "mntd_cnn"])
def test_every_network_has_a_page(site: Path, name: str) -> None:
    assert (site / "components" / "models" / f"{name}.html").exists()


def test_every_command_is_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    assert set(commands(cli)) <= pages[site / "cli.html"].ids


def test_every_public_name_is_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    names = {f"benchkit.{name}" for name in benchkit.__all__ if name not in ("API_VERSION", "__version__")}
    assert names <= pages[site / "api.html"].ids


def test_every_suite_is_told_where_its_numbers_are(site: Path) -> None:
    page = (site / "reproducing.html").read_text(encoding="utf-8")
    for suite in (ROOT / "benchmarks" / "suites").glob("*.toml"):
        assert f'<span class="pre">{suite.stem}</span>' in page, suite.name


def test_links_and_images_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            found = target.exists() and (
                not parts.fragment or target not in pages or parts.fragment in pages[target].ids
            )
            broken += [] if found else [f"{path.relative_to(site)}: {link}"]
    assert not broken
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_nothing_is_fetched_when_a_page_is_read(pages: dict[Path, Page]) -> None:
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert 'src="http' not in text, path
        assert 'rel="stylesheet" type="text/css" href="http' not in text, path
