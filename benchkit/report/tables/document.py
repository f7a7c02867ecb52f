"""A report, independent of any format: titled tables of marked entries, then notes."""

from __future__ import annotations

from dataclasses import dataclass

FAILED, TIMEOUT, SKIPPED, MISSING, ABSENT, WARNED = "✗", "⏱", "\N{EN DASH}", "·", "n/a", "!"
GLYPHS = {"failed": FAILED, "timeout": TIMEOUT, "skipped": SKIPPED}
MEANING = {
    FAILED: "failed",
    TIMEOUT: "ran out of time",
    SKIPPED: "skipped",
    MISSING: "not run",
    ABSENT: "this metric does not exist for the cell, or was no finite number",
}


@dataclass(frozen=True)
class Entry:
    """The text of one table cell; ``best`` marks the best entry of its row.

    ``seeds`` is its number of seeds, if it is smaller than elsewhere; ``warnings`` are those of its records.
    """

    text: str
    best: bool = False
    seeds: int | None = None
    warnings: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the text, the warning mark and the number of seeds, for formats without footnotes."""
        marked = f"{self.text} {WARNED}" if self.warnings else self.text
        return marked if self.seeds is None else f"{marked} (n={self.seeds})"


@dataclass(frozen=True)
class Head:
    """The name of a row or column, and the metrics of its entries (may be empty); sentences ``wrap``."""

    name: str
    shows: str = ""
    wrap: bool = False

    def line(self) -> str:
        """Return both on one line."""
        return f"{self.name} ({self.shows})" if self.shows else self.name


@dataclass(frozen=True)
class Table:
    """One titled table; ``rows`` pairs each row's head with one entry per column.

    ``told`` is what a caption says besides: the seeds and the protocol.
    """

    title: str
    corner: str
    columns: tuple[Head, ...]
    rows: tuple[tuple[Head, tuple[Entry, ...]], ...]
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Tables, then notes: each a heading with its lines."""

    tables: tuple[Table, ...]
    notes: tuple[tuple[str, tuple[str, ...]], ...]
