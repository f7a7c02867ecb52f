"""A report -> text in one of the formats people paste, or rich tables in a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.report import latex
from benchkit.report.layout import Head, Report, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text


@dataclass(frozen=True)
class Format:
    """How one text format escapes, marks, and frames; templates take ``{}``-style fields.

    ``tablefmt`` is tabulate's name for its tables, or draws one given what marks an entry's text.
    """

    tablefmt: str | Callable[[Table, Callable[[str, bool], str]], str]
    escape: Callable[[str], str]
    best: str
    table: str
    heading: str
    items: str
    item: str
    preamble: str = ""


def _markdown(text: str) -> str:
    # An underscore inside a word means nothing to markdown; escaping it would only hurt the eye.
    return re.sub(r"([\\`*|<>\[\]~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


FORMATS = {
    "markdown": Format("github", _markdown, "**{}**", "**{title}**\n\n{table}\n", "**{}**\n", "{}\n", "- {}"),
    "latex": Format(
        latex.draw,
        latex.escape,
        "\\textbf{{{}}}",
        "\\begin{{table}}\n\\centering\n\\caption{{{title}}}\n{table}\n\\end{{table}}\n",
        "\\paragraph{{{}}}",
        "\\begin{{itemize}}\n{}\n\\end{{itemize}}\n",
        "\\item {}",
        latex.PREAMBLE,
    ),
    "html-table": Format(
        "unsafehtml",
        html.escape,
        "<b>{}</b>",
        "<h3>{title}</h3>\n{table}",
        "<h4>{}</h4>",
        "<ul>\n{}\n</ul>",
        "<li>{}</li>",
    ),
}


def to_text(report: Report, name: str) -> str:
    """Write a report as ``markdown``, ``latex`` or ``html-table``; all text is escaped for it."""
    form = FORMATS[name]
    parts = [_table(table, form) for table in report.tables]
    for heading, lines in report.notes:
        items = "\n".join(form.item.format(form.escape(line)) for line in lines)
        parts += [form.heading.format(form.escape(heading)), form.items.format(items)]
    return form.preamble + "\n".join(parts).rstrip("\n") + "\n"


def _table(table: Table, form: Format) -> str:
    def mark(text: str, best: bool) -> str:
        return form.best.format(form.escape(text)) if best else form.escape(text)

    drawn = _tabulated(table, form.tablefmt, mark) if isinstance(form.tablefmt, str) else form.tablefmt(table, mark)
    return form.table.format(title=form.escape(table.title), table=drawn)


def _tabulated(table: Table, tablefmt: str, mark: Callable[[str, bool], str]) -> str:
    from tabulate import tabulate

    heads = [mark(text, False) for text in (table.corner, *(head.line() for head in table.columns))]
    rows = [[mark(head.line(), False), *(mark(entry.line(), entry.best) for entry in row)] for head, row in table.rows]
    return tabulate(rows, heads, tablefmt, disable_numparse=True, colalign=["left"] * len(heads))


def to_console(report: Report, console: Console) -> None:
    """Print a report as rich tables; one that is too wide goes on below with its next columns."""
    for table in report.tables:
        console.print(_plain(table.title, "bold"))
        for part in _parts(table, console):
            console.print(part)
        console.print()
    for heading, lines in report.notes:
        console.print(_plain(heading, "bold"))
        for line in lines:
            console.print(_plain(f"  {line}"))


def _parts(table: Table, console: Console) -> list[RichTable]:
    """Cut a table into as few runs of columns as fit the console, each with the row heads."""
    parts, start = [], 0
    while start < len(table.columns):
        stop = len(table.columns)
        while stop > start + 1 and not _fits(_rich(table, start, stop), console):
            stop -= 1
        parts.append(_rich(table, start, stop))
        start = stop
    return parts


def _fits(drawn: RichTable, console: Console) -> bool:
    # Measured without a limit: within one, rich reports what it would cut the columns to.
    return console.measure(drawn, options=console.options.update(max_width=100_000)).minimum <= console.width


def _rich(table: Table, start: int, stop: int) -> RichTable:
    from rich.table import Table as RichTable

    drawn = RichTable()
    names = [table.corner, *(head.line() for head, _ in table.rows)]
    drawn.add_column(_plain(table.corner), min_width=max(map(len, names)))
    for place, head in list(enumerate(table.columns))[start:stop]:
        texts = [head.name, head.shows, *(row[place].line() for _, row in table.rows)]
        drawn.add_column(_stacked(head), min_width=None if head.wrap else max(map(len, texts)))
    for head, row in table.rows:
        entries = [_plain(entry.line(), "bold green" if entry.best else "") for entry in row[start:stop]]
        drawn.add_row(_plain(head.line()), *entries)
    return drawn


def _stacked(head: Head) -> Text:
    return _plain(f"{head.name}\n{head.shows}" if head.shows else head.name)


def _plain(text: str, style: str = "") -> Text:
    # Text, not markup: a name like attack[/bold] is a name.
    from rich.text import Text

    return Text(text, style=style)
