"""What the committed records say of one attack or defense: pictures of its trigger, and its row of the matrix."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchkit.leaderboard.track import tracks_of
from benchkit.records.record import Record
from benchkit.report.evidence import gallery_of
from benchkit.report.formats.text import to_text
from benchkit.report.load import newest, read
from benchkit.report.tables.document import Report
from benchkit.report.tables.matrix import Axes, matrix

LEADERBOARD = "benchmarks/leaderboard"
AXES = {"attacks": Axes("defense", "attack"), "defenses": Axes("attack", "defense")}
"""The table on a page of each kind: what met the component of the page, in rows."""
ORDER = ("clean", "stamped", "difference", "spectrum")
"""The order of the pictures, by how their captions begin."""
READING = (
    "In percent, by [the protocol](../../protocol.md); `!` carries a warning and `·` was not run. A small network; "
    "`scenes` are drawn images, which show whether a method works and not how well. "
    "[More, and what it means](../../results/README.md)."
)


@functools.cache
def records(root: Path) -> tuple[Record, ...]:
    """Return the newest record of each cell and seed of the leaderboard."""
    return tuple(newest(read(root / LEADERBOARD)[0]))


def measured(root: Path, kind: str, name: str) -> list[str]:
    """Return Markdown of a component's tables; nothing where no record names it."""
    found = _named(root, kind, name)
    return ["## Measured", *_tables(found, AXES[kind]), READING] if found else []


def overview(root: Path, dataset: str = "scenes", defenses: tuple[str, ...] = ("none", "freq-detector")) -> str:
    """Return the matrix of every attack against some defenses on one dataset, as Markdown."""
    found = [one for one in records(root) if one.dataset == dataset and one.defense in defenses]
    return "\n\n".join(_tables(found, Axes()))


def trigger(root: Path, kind: str, name: str) -> list[str]:
    """Return the pictures of an attack's trigger, as HTML; nothing where no record has any."""
    told = [gallery_of(one.gallery) for one in _named(root, kind, name) if kind == "attacks" and one.defense == "none"]
    pictures = {row["caption"]: row["src"] for rows in told for row in rows}
    figures = "".join(
        f'<figure><img src="{pictures[caption]}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'
        for caption in sorted(pictures, key=_place)
    )
    return [f'<div class="trigger">{figures}</div>'] if figures else []


def _place(caption: str) -> tuple[int, str]:
    first = next((at for at, word in enumerate(ORDER) if caption.startswith(word)), len(ORDER))
    return first, caption


def _named(root: Path, kind: str, name: str) -> list[Record]:
    return [one for one in records(root) if kind in AXES and getattr(one, kind[:-1]) == name]


def _tables(found: list[Record], view: Axes) -> Iterator[str]:
    """Yield a table for each track, the fullest first."""
    for track in tracks_of(found):
        for table in matrix(track.cells, view).tables:
            yield to_text(Report((table,), ()), "markdown")
