"""Tables for papers: booktabs, footnotes below, over several pages and in several parts if necessary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, count

from benchkit.report.formats.columns import Column, Mark, escape, span
from benchkit.report.tables.document import WARNED, Entry, Head, Report, Table

PREAMBLE = "% \\usepackage{booktabs,graphicx,longtable}\n"
PAGE = 35
"""Rows that fit on a page; a table with more is a longtable, which continues on the next page."""
LINE = 70
"""Letters that fit on a line of a longtable, which cannot be shrunk; wider tables are cut into parts."""
GAP = 2
"""Width of the space between two columns, in letters."""
Notes = tuple[tuple[str, tuple[str, ...]], ...]


def draw(tables: Sequence[Table], mark: Mark) -> list[str]:
    """Write each table of a document with its caption, a label that no other has, and the footnotes of its entries.

    A table is a float, or a longtable above ``PAGE`` rows, in parts if it is wide. ``mark`` escapes an entry's text and
    marks it if it is the best.
    """
    taken: set[str] = set()
    return ["\n\n".join(_drawn(table, mark, taken)) for table in tables]


def _drawn(table: Table, mark: Mark, taken: set[str]) -> Iterator[str]:
    if len(table.rows) <= PAGE:
        yield _float(table, mark, _label(table, taken))
        return
    for part in _parts(table):
        yield _long(part, mark, _label(part, taken))


def notes(report: Report) -> Notes:
    """Return a report's notes without those in footnotes: the warnings of entries, and the legend of their sign."""
    said = {text for table in report.tables for _, row in table.rows for entry in row for text in entry.warnings}
    starts = (f"{WARNED} ", *(f"{text}{end}" for text in said for end in (" (", " [")))
    kept = ((head, tuple(line for line in lines if not line.startswith(starts))) for head, lines in report.notes)
    return tuple((head, lines) for head, lines in kept if lines)


def _float(table: Table, mark: Mark, label: str) -> str:
    """Write a tabular, shrunk only if it is wider than the line."""
    aligned, heads, rows, letters = _lines(table, mark)
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_caption(table)}}}",
        f"\\label{{{label}}}",
        "\\sbox0{%",
        f"\\begin{{tabular}}{{{aligned}}}",
        *("\\toprule", *heads, "\\midrule", *rows, "\\bottomrule"),
        "\\end{tabular}}",
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi",
    ]
    box = ["", "\\smallskip", "\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright"]
    below = [*box, *_below(letters), "\\end{minipage}"] if letters else []
    return "\n".join([*lines, *below, "\\end{table}"])


def _long(table: Table, mark: Mark, label: str) -> str:
    """Write a longtable; its footnotes are a paragraph, which may also continue on the next page."""
    aligned, heads, rows, letters = _lines(table, mark)
    lines = [
        "{\\footnotesize\\setlength{\\tabcolsep}{4pt}",
        f"\\begin{{longtable}}{{{aligned}}}",
        f"\\caption{{{_caption(table)}}}\\label{{{label}}} \\\\",
        *("\\toprule", *heads, "\\midrule", "\\endfirsthead"),
        *("\\toprule", *heads, "\\midrule", "\\endhead"),
        *("\\bottomrule", "\\endfoot", *rows),
        "\\end{longtable}",
        *(["\\noindent\\raggedright", *_below(letters)] if letters else []),
    ]
    return "\n".join([*lines, "\\par}"])


def _caption(table: Table) -> str:
    return escape(". ".join(filter(None, (table.title, *table.told))))


def _label(table: Table, taken: set[str]) -> str:
    """Return a name that text can refer to, made of the title: letters, digits, dots and hyphens; note it as taken.

    Titles may differ in other characters alone: the second of a name ends in ``-2``.
    """
    name = "tab:" + "-".join(re.findall(r"[a-z0-9.]+", table.title.lower()))
    free = next(one for one in chain([name], (f"{name}-{number}" for number in count(2))) if one not in taken)
    taken.add(free)
    return free


def _parts(table: Table) -> Iterator[Table]:
    """Cut a table into runs of columns that each fit the line, with the row heads."""
    runs, used, line = [0], 0, LINE - max(len(head.line()) for head, _ in table.rows)
    for place, head in enumerate(table.columns):
        texts = [head.name, _shows(head), *(row[place].text for _, row in table.rows)]
        width = GAP + max(map(len, texts))
        if used and used + width > line:
            runs, used = [*runs, place], 0
        used += width
    for start, end in zip(runs, [*runs[1:], len(table.columns)], strict=True):
        title = f"{table.title}, columns {start + 1} to {end} of {len(table.columns)}" if runs[1:] else table.title
        rows = tuple((head, row[start:end]) for head, row in table.rows)
        yield replace(table, title=title, columns=table.columns[start:end], rows=rows)


def _lines(table: Table, mark: Mark) -> tuple[str, list[str], list[str], dict[str, str]]:
    """Return the alignment of a table's columns, the lines of its head and body, and the letters of its footnotes."""
    letters = _letters(table)
    notes = {entry: ",".join(letters[note] for note in _footnotes(entry)) for _, row in table.rows for entry in row}
    columns = [Column(head, [row[place] for _, row in table.rows]) for place, head in enumerate(table.columns)]
    cells = [column.cells(mark, notes) for column in columns]
    names = [
        escape(table.corner),
        *(span(head.name, len(column.shows)) for head, column in zip(table.columns, columns, strict=True)),
    ]
    shows = ["", *(span(text, 1) for column in columns for text in column.shows)]
    heads = [names, shows] if any(head.shows for head in table.columns) else [names]
    body = [[escape(head.line()), *line] for (head, _), line in zip(table.rows, zip(*cells, strict=True), strict=True)]
    aligned = "l" + "".join(column.alignment for column in columns)
    return aligned, [*map(_row, heads)], [*map(_row, body)], letters


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _shows(head: Head) -> str:
    return f"({head.shows})" if head.shows else ""


def _footnotes(entry: Entry) -> tuple[str, ...]:
    seeds = () if entry.seeds is None else (f"n={entry.seeds}",)
    return (*seeds, *entry.warnings)


def _letters(table: Table) -> dict[str, str]:
    """Give each distinct footnote its letter, in reading order."""
    found = dict.fromkeys(text for _, row in table.rows for entry in row for text in _footnotes(entry))
    return {text: _letter(index) for index, text in enumerate(found)}


def _letter(index: int) -> str:
    first, last = divmod(index, 26)
    return (_letter(first - 1) if first else "") + chr(ord("a") + last)


def _below(letters: dict[str, str]) -> list[str]:
    return [f"\\textsuperscript{{{letter}}}~{escape(text)}\\quad" for text, letter in letters.items()]
