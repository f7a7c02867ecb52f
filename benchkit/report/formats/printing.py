"""Printing: rich tables in a terminal, markdown elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchkit.records.record import Record
    from benchkit.report.tables.document import Report


def print_matrix(records: Iterable[Record], tty: bool | None = None) -> None:
    """Print the matrix of these records to stdout, as ``benchkit report`` would.

    ``tty`` selects rich tables (True) or markdown (False); None checks whether stdout is a terminal.

    Raises:
        NothingToRun: if there are no records.
    """
    from benchkit.report.formats.results import Results

    print_report(Results(records).matrix(), tty)


def print_report(report: Report, tty: bool | None = None) -> None:
    """Print a report to stdout: rich tables in a terminal, markdown of full width elsewhere."""
    from benchkit.report.formats.text import to_console, to_text
    from benchkit.text import hand_out

    if sys.stdout.isatty() if tty is None else tty:
        from rich.console import Console

        to_console(report, Console())
    else:
        hand_out(to_text(report, "markdown"))
