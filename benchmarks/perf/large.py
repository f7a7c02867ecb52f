"""The same as ``scheduling``, of a field of forty defenses over fifty seeds: 100,000 cells, and 50,000 records."""

from __future__ import annotations

from _perf import Figure
from scheduling import planning, reporting, walking


def figures(quick: bool) -> list[Figure]:
    """Measure all of them, once: it takes minutes."""
    cells, records = ((2, 3, 2), (2, 3, 4)) if quick else ((50, 40, 50), (25, 40, 50))
    reports = [reporting(records, 1, form, 10) for form in ("markdown", "html")]
    return [walking(cells, 1, most=0.6), planning(cells, 1, most=10), *reports]
