"""From a report to text in one of several formats, or to rich tables in a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.report.formats import latex
from benchkit.report.formats.columns import Mark, escape
from benchkit.report.tables.document import Head, Report, Table
from benchkit.text import shown

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable
    from rich.text import Text


_FRAME = 7
"""Width of the borders and margins of two columns."""
_LEAST = 12
"""Minimum width of wrapped row heads and sentences; below it, a table is wider than its terminal."""


@dataclass(frozen=True)
class Format:
    """The escaping, marking and framing of one text format; templates have ``{}``-style fields.

    ``tablefmt`` is tabulate's name of its tables, or a function that draws all of a document's, given the function that
    marks an entry's text; ``notes`` returns the notes that are not already in the tables.
    """

    tablefmt: str | Callable[[Sequence[Table], Mark], list[str]]
    escape: Callable[[str], str]
    best: str
    table: str
    heading: str
    items: str
    item: Callable[[str], str]
    preamble: str = ""
    notes: Callable[[Report], latex.Notes] = lambda report: report.notes


def _markdown(text: str) -> str:
    # An underscore inside a word, or an interval, has no meaning in markdown; escaping would only be ugly.
    signs = r"(± >|\[-?[\d.]+, -?[\d.]+\](?![(\[:]))|([\\`*|<>\[\]~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_]))"
    return re.sub(signs, lambda found: found[1] or f"\\{found[2]}", text)


def _markdown_item(text: str) -> str:
    # The marks of headings and lists also work at the start of an item; elsewhere they are text.
    opens = r"^(\s*)(\d{1,9}(?=[.)](?:\s|$))|(?=(?:#{1,6}|[-+])(?:\s|$)))"
    return "- " + re.sub(opens, r"\1\2\\", text)


FORMATS = {
    "markdown": Format("github", _markdown, "**{}**", "**{title}**\n\n{table}\n", "**{}**\n", "{}\n", _markdown_item),
    "latex": Format(
        latex.draw,
        escape,
        "\\textbf{{{}}}",
        "{table}\n",
        "\\paragraph{{{}}}",
        "\\begin{{itemize}}\\raggedright\n{}\n\\end{{itemize}}\n",
        "\\item {}".format,
        latex.PREAMBLE,
        latex.notes,
    ),
    "html-table": Format(
        "unsafehtml",
        html.escape,
        "<b>{}</b>",
        "<h3>{title}</h3>\n{table}",
        "<h4>{}</h4>",
        "<ul>\n{}\n</ul>",
        "<li>{}</li>".format,
    ),
}


def to_text(report: Report, name: str) -> str:
    """Write a report as ``markdown``, ``latex`` or ``html-table``; all text is escaped for it."""
    form = FORMATS[name]
    parts = [
        form.table.format(title=form.escape(table.title), table=drawn)
        for table, drawn in zip(report.tables, _drawn(report.tables, form), strict=True)
    ]
    for heading, lines in form.notes(report):
        items = "\n".join(form.item(form.escape(line)) for line in lines)
        parts += [form.heading.format(form.escape(heading)), form.items.format(items)]
    return form.preamble + "\n".join(parts).rstrip("\n") + "\n"


def _drawn(tables: Sequence[Table], form: Format) -> list[str]:
    def mark(text: str, best: bool) -> str:
        return form.best.format(form.escape(text)) if best else form.escape(text)

    if not isinstance(form.tablefmt, str):
        return form.tablefmt(tables, mark)
    return [_tabulated(table, form.tablefmt, mark) for table in tables]


def _tabulated(table: Table, tablefmt: str, mark: Mark) -> str:
    from tabulate import tabulate

    best = False
    heads = [mark(text, best) for text in (table.corner, *(head.line() for head in table.columns))]
    rows = [[mark(head.line(), best), *(mark(entry.line(), entry.best) for entry in row)] for head, row in table.rows]
    return tabulate(rows, heads, tablefmt, disable_numparse=True, colalign=["left"] * len(heads))


def to_console(report: Report, console: Console) -> None:
    """Print a report as rich tables; a table that is too wide continues below with its next columns."""
    for table in report.tables:
        console.print(_plain(table.title, "bold"))
        for part in _parts(table, console):
            console.print(_Whole(part), crop=False)
        console.print()
    for heading, lines in report.notes:
        console.print(_plain(heading, "bold"))
        for line in lines:
            console.print(_plain(f"  {line}"))


@dataclass(frozen=True)
class _Whole:
    """A table of the width that its numbers need, even if the terminal is narrower and wraps the lines."""

    table: RichTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width, _needed(self.table, console))
        yield from console.render(self.table, options.update(width=width, max_width=width))


def _parts(table: Table, console: Console) -> list[RichTable]:
    """Cut a table into as few runs of columns as fit the console, each with the row heads.

    Heads are wrapped if a single column does not fit; numbers are never wrapped.
    """
    parts, start = [], 0
    while start < len(table.columns):
        stop = len(table.columns)
        while stop > start + 1 and _needed(_rich(table, start, stop), console) > console.width:
            stop -= 1
        part = _rich(table, start, stop)
        fits = _needed(part, console) <= console.width
        parts.append(part if fits else _rich(table, start, stop, _squeezed(table, start, console.width)))
        start = stop
    return parts


def _needed(drawn: RichTable, console: Console) -> int:
    # Measured without a limit: with one, rich reports the widths after cutting.
    return console.measure(drawn, options=console.options.update(max_width=100_000)).minimum


def _squeezed(table: Table, place: int, width: int) -> tuple[int, int]:
    """Return the widths of the row heads and of one column with which both fit, if heads are wrapped."""
    names, (head, body) = _names_width(table), _widths(table, place)
    room = width - _FRAME
    first = max(min(names, room - body), min(names, _LEAST))
    return first, max(body, min(head, room - first))


def _names_width(table: Table) -> int:
    return _widest([table.corner, *(head.line() for head, _ in table.rows)])


def _widths(table: Table, place: int) -> tuple[int, int]:
    """Return the width of a column's head and of its entries, if only sentences are wrapped."""
    head = table.columns[place]
    entries = _widest(row[place].line() for _, row in table.rows)
    return _widest([head.name, head.shows]), min(entries, _LEAST) if head.wrap else entries


def _widest(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts), default=0)


def _rich(table: Table, start: int, stop: int, widths: tuple[int, int] | None = None) -> RichTable:
    from rich.table import Table as RichTable

    drawn = RichTable()
    first, column = widths or (None, None)
    drawn.add_column(_plain(table.corner), min_width=_names_width(table), width=first, overflow="fold")
    for place, head in list(enumerate(table.columns))[start:stop]:
        least = None if head.wrap else max(_widths(table, place))
        drawn.add_column(_stacked(head), min_width=least, width=column, overflow="fold")
    for head, row in table.rows:
        entries = [_plain(entry.line(), "bold green" if entry.best else "") for entry in row[start:stop]]
        drawn.add_row(_plain(head.line()), *entries)
    return drawn


def _stacked(head: Head) -> Text:
    return _plain(f"{head.name}\n{head.shows}" if head.shows else head.name)


def _plain(text: str, style: str = "") -> Text:
    # Text, not markup: attack[/bold] is a valid name.
    from rich.text import Text

    return Text(shown(text), style=style)
