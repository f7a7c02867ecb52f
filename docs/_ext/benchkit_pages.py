"""A Sphinx extension: write the pages that are made from code, and show files outside ``docs`` as pages."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import click
import component_pages
import measured
import suite_pages
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from benchkit.leaderboard.site import build
from benchkit.leaderboard.track import ABOUT, tracks_of

MIRRORED = {
    "experiments": "benchmarks/experiments/README.md",
    "published-numbers": "benchmarks/reference/README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}
"""Pages that are files outside ``docs``."""
PATH = re.compile(r"\w+Path\('([^']*)'\)")
LONGEST_NUMBER = 60
"""Characters in a cell of a table that is still one of numbers."""
LINK = re.compile(r"\[([^\[\]]*)\]\(([^():#]+)(#[^()]*)?\)")


def _write(path: Path, body: str) -> None:
    """Write a page, unless it says the same already: Sphinx reads what is newer than it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != body:
        path.write_text(body, encoding="utf-8")


def _suites(folder: Path, page: component_pages.Page) -> str:
    """Return where a component occurs in the suites, as a paragraph, or nothing."""
    links = [f"[{name}](../suites.md#{name})" for name in suite_pages.naming(folder, page.kind, page.name)]
    return f"\n\nIn the suites {', '.join(links)}." if links else ""


def _whole(root: Path, page: component_pages.Page) -> str:
    """Return a page with its trigger, what was measured of its component, and the suites that name it."""
    asked = (root, page.kind, page.name)
    parts = [page.head, *measured.trigger(*asked), page.body, *measured.measured(*asked)]
    return "\n\n".join(parts) + _suites(root / "benchmarks" / "suites", page)


def write_pages(app: Sphinx) -> None:
    """Write every generated page below ``components``, and remove pages of what is gone."""
    root = Path(app.srcdir).parent
    folder, suites = root / "docs" / "components", root / "benchmarks" / "suites"
    bodies = {folder / "suites.md": suite_pages.page(suites), folder / "_matrix.md": measured.overview(root)}
    for kind, group in itertools.groupby(component_pages.pages(), key=lambda page: page.kind):
        found = list(group)
        bodies[folder / kind / "index.md"] = component_pages.listing(kind, found)
        bodies |= {folder / kind / f"{page.name}.md": _whole(root, page) for page in found}
    for path, body in bodies.items():
        _write(path, f"{body}\n")
    for path in set(folder.rglob("*.md")) - bodies.keys():
        path.unlink()


def write_leaderboard(app: Sphinx, config: Config) -> None:
    """Build the leaderboard's own site, which is copied beside the pages."""
    root = Path(app.srcdir).parent
    tracks = tracks_of(measured.records(root), root / measured.LEADERBOARD / ABOUT)
    build(tracks, root / "docs" / "components" / "_site" / "leaderboard")


def led(text: str, folder: Path, docs: Path) -> str:
    """Return Markdown from a file in ``folder``: its links lead to pages, or become text where a file has no page."""
    pages = {(docs.parent / path).resolve(): name for name, path in MIRRORED.items()}

    def replaced(link: re.Match[str]) -> str:
        label, target, place = link[1], (folder / link[2]).resolve(), link[3] or ""
        if target in pages:
            return f"[{label}](/{pages[target]}.md{place})"
        if target.is_relative_to(docs) and target.is_file():
            return f"[{label}](/{target.relative_to(docs)}{place})"
        return label if target.exists() else link[0]

    return LINK.sub(replaced, text)


def mirror(app: Sphinx, docname: str, source: list[str]) -> None:
    """Show files outside ``docs`` as pages, and let links to them lead there."""
    docs = Path(app.srcdir).resolve()
    path = docs / f"{docname}.md"
    if docname in MIRRORED:
        path = docs.parent / MIRRORED[docname]
        app.env.note_dependency(path)
        source[0] = path.read_text(encoding="utf-8")
    if "components" not in docname.split("/"):
        source[0] = led(source[0], path.parent, docs)


def mark_numbers(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Mark tables of results, whose cells are numbers that should not be broken into lines."""
    if docname.startswith("results/"):
        for table in doctree.findall(nodes.table):
            longest = max(
                len(entry.astext()) for body in table.findall(nodes.tbody) for entry in body.findall(nodes.entry)
            )
            table["classes"] += ["numbers"] if longest <= LONGEST_NUMBER else []


def spell_paths(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Write a default that is a path as people type it."""
    lines[:] = [PATH.sub(r"'\1'", line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build."""
    app.connect("config-inited", write_leaderboard, priority=100)  # before Sphinx looks whether it is there
    app.connect("builder-inited", write_pages)
    app.connect("source-read", mirror)
    app.connect("doctree-resolved", mark_numbers)
    app.connect("sphinx-click-process-options", spell_paths)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
