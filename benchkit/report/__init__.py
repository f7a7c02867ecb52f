"""From records to tables, pages and figures. The report reads only records: it imports neither torch nor plugins.

``load`` and ``select`` read records, ``cells`` groups seeds; each other purpose has a folder: ``tables``, ``formats``,
``figures``, ``published`` (beside published numbers) and ``runs`` (two results folders side by side).
May import: params, records, store.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from benchkit.errors import NothingToRun
from benchkit.records.record import Record
from benchkit.report.cells import cells_of
from benchkit.report.tables.document import Report
from benchkit.report.tables.matrix import Axes, matrix
from benchkit.text import hand_out


def print_matrix(records: Iterable[Record], tty: bool | None = None) -> None:
    """Print the matrix of these records to stdout, as ``benchkit report`` would.

    ``tty`` selects rich tables (True) or markdown (False); None checks whether stdout is a terminal.

    Raises:
        NothingToRun: if there are no records.
    """
    cells = cells_of(records)
    if not cells:
        raise NothingToRun("there are no results to report")
    print_report(matrix(cells, Axes()), tty)


def print_report(report: Report, tty: bool | None = None) -> None:
    """Print a report to stdout: rich tables in a terminal, markdown of full width elsewhere."""
    from benchkit.report.formats.text import to_console, to_text

    if sys.stdout.isatty() if tty is None else tty:
        from rich.console import Console

        to_console(report, Console())
    else:
        hand_out(to_text(report, "markdown"))
