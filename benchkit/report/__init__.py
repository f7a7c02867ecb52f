"""Records -> tables. It reads records and nothing else: neither torch nor any plugin is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchkit.report.tables.document import Report


def print_matrix(records: Iterable[Mapping[str, Any]], tty: bool | None = None) -> None:
    """Print the matrix of these records (decoded JSON, schema 1) to stdout, as ``benchkit report`` would.

    ``tty`` chooses rich tables (True) or markdown (False); None looks at stdout.

    Raises:
        NothingToRun: when there is no record among them.
    """
    from benchkit.report.load import parse
    from benchkit.report.results import Results

    print_report(Results(record for found in records if (record := parse(found))).matrix(), tty)


def print_report(report: Report, tty: bool | None = None) -> None:
    """Print a report to stdout: rich tables in a terminal, uncrushed markdown anywhere else."""
    from benchkit.report.formats.text import to_console, to_text
    from benchkit.text import hand_out

    if sys.stdout.isatty() if tty is None else tty:
        from rich.console import Console

        to_console(report, Console())
    else:
        hand_out(to_text(report, "markdown"))
