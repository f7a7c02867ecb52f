"""The static site of a leaderboard: one page that lists the tracks, and the page of each. No network, no server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit import __version__
from benchkit.errors import StoreError
from benchkit.report.formats.html import styles, to_html
from benchkit.report.tables.findings import Findings, findings
from benchkit.store.files import write_atomic

if TYPE_CHECKING:
    from benchkit.leaderboard.track import Track

INDEX = "index.html"
NAMED = 3


def build(tracks: Sequence[Track], out: Path) -> list[Path]:
    """Write the site into a folder, and return its files.

    Raises:
        StoreError: if the folder cannot be written.
    """
    pages = {f"{track.slug}.html": to_html(track.cells, about=_about(track), home=INDEX) for track in tracks}
    pages[INDEX] = index(tracks)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            write_atomic(out / name, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write the site to {out}: {error.strerror}") from error
    return [out / name for name in pages]


def _about(track: Track) -> str:
    return " ".join(part for part in (track.limits, _state(track)) if part)


def _state(track: Track) -> str:
    if track.complete:
        return "Complete: every attack met every defense under every seed."
    parts = [f"{len(track.missing)} cells were not run"] if track.missing else []
    parts += [f"{len(track.unfinished)} lack a seed or failed"] if track.unfinished else []
    return f"Not complete: {' and '.join(parts)}."


def index(tracks: Sequence[Track]) -> str:
    """Return the page that lists the tracks. Texts of records are escaped; the page has no script."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>benchkit leaderboard</title>
<link rel="icon" href="data:,">
<style>{styles()}</style>
</head>
<body>
<header class="top"><div><h1>Backdoor attacks against defenses: the leaderboard</h1>
<p>Each track crosses attacks with defenses on one dataset, model, recipe and poison rate. Open one for its matrix.</p>
</div></header>
<main>
<div class="scroll" role="region" tabindex="0" aria-label="Tracks">
<table class="plain stack">
<thead><tr>{"".join(f'<th scope="col">{head}</th>' for head in HEADS)}</tr></thead>
<tbody>
{"".join(map(_row, tracks))}</tbody>
</table>
</div>
<h2>What each track cannot tell</h2>
<dl class="terms">
{_pairs((track.title, track.limits or "Nobody said yet.") for track in tracks)}</dl>
<h2>How to add to it</h2>
<p>Run what is missing, check your results folder with <code>benchkit leaderboard check RESULTS</code>, and send its
records. A run resumes from its store, so a track grows by what is new.</p>
</main>
<footer><p class="quiet">Made by benchkit {__version__}. These files need no network.</p></footer>
</body>
</html>
"""


HEADS = ("track", "attacks x defenses", "seeds", "state", "stops most", "stopped by none")


def _row(track: Track) -> str:
    found = findings(track.cells)
    rows = len({cell.axis("attack") for cell in track.cells if not cell.benign})
    columns = len({cell.axis("defense") for cell in track.cells if not cell.baseline})
    cells = (
        f"{rows} x {columns}",
        ", ".join(map(str, track.seeds)),
        "complete" if track.complete else _state(track),
        _best(found),
        _some(found.open),
    )
    link = f'<th scope="row"><a href="{escape(track.slug)}.html">{escape(track.title)}</a></th>'
    return f"<tr>{link}{''.join(f'<td>{escape(text)}</td>' for text in cells)}</tr>\n"


def _best(found: Findings) -> str:
    best = next((one for one in found.stopping if one.stopped), None)
    return f"{best.defense}: {len(best.stopped)} of {len(best.met)}" if best else "none"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "") if names else "none"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in pairs)
