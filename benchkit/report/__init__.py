"""Records -> tables. It reads records and nothing else: neither torch nor any plugin is imported here."""

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

    ``tty`` chooses rich tables (True) or markdown (False); None looks at stdout.

    Raises:
        NothingToRun: when there is no record among them.
    """
    cells = cells_of(records)
    if not cells:
        raise NothingToRun("there are no results to report")
    print_report(matrix(cells, Axes()), tty)


def print_report(report: Report, tty: bool | None = None) -> None:
    """Print a report to stdout: rich tables in a terminal, uncrushed markdown anywhere else."""

    from benchkit.report.formats.text import to_console, to_text

    if sys.stdout.isatty() if tty is None else tty:
        from rich.console import Console

        to_console(report, Console())
    else:
        hand_out(to_text(report, "markdown"))
