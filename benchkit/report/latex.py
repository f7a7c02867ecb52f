r"""Tables as a paper prints them: booktabs, footnotes below. Needs ``\usepackage{booktabs,graphicx}``."""

from __future__ import annotations

from collections.abc import Callable

from benchkit.report.layout import FAILED, MISSING, SKIPPED, TIMEOUT, Entry, Head, Table

PREAMBLE = "% \\usepackage{booktabs,graphicx}\n"
_SIGNS = {char: f"\\{char}" for char in "_%&#${}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "`": "\\textasciigrave{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "±": "$\\pm$",
    # After a line's end or \item these would be taken for its argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    FAILED: "$\\times$",
    TIMEOUT: "$\\infty$",
    SKIPPED: "--",
    MISSING: "$\\cdot$",
}
_LAST_LETTER = "\u017f"
"""The last character that LaTeX sets without a further package; a stranger would stop it."""


def escape(text: str) -> str:
    """Return text that LaTeX sets as it reads; what its fonts lack is named by its code point."""
    return "".join(_SIGNS.get(char, char if char <= _LAST_LETTER else f"{{[}}U+{ord(char):04X}{{]}}") for char in text)


def draw(table: Table, mark: Callable[[str, bool], str]) -> str:
    """Write the tabular, shrunk only where it is wider than the line, and the footnotes of its entries.

    ``mark`` escapes an entry's text and marks it when it is the best.
    """
    letters = _letters(table)
    rows = [
        " & ".join([escape(head.line()), *(_entry(entry, letters, mark) for entry in row)]) for head, row in table.rows
    ]
    heads = [" & ".join(line) for line in _heads(table)]
    lines = [
        "\\sbox0{%",
        f"\\begin{{tabular}}{{{'l' * (1 + len(table.columns))}}}",
        "\\toprule",
        *(f"{line} \\\\" for line in heads),
        "\\midrule",
        *(f"{line} \\\\" for line in rows),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\ifdim\\wd0>\\linewidth\\resizebox{\\linewidth}{!}{\\usebox0}\\else\\usebox0\\fi",
        *_below(letters),
    ]
    return "\n".join(lines)


def _heads(table: Table) -> list[list[str]]:
    """Return the names of the columns, and what they show in a line of its own."""
    names = [escape(table.corner), *(escape(head.name) for head in table.columns)]
    shows = ["", *(escape(_shows(head)) for head in table.columns)]
    return [names, shows] if any(shows) else [names]


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


def _entry(entry: Entry, letters: dict[str, str], mark: Callable[[str, bool], str]) -> str:
    text = mark(entry.text, entry.best)
    signs = ",".join(letters[note] for note in _footnotes(entry))
    return f"{text}\\textsuperscript{{{signs}}}" if signs else text


def _below(letters: dict[str, str]) -> list[str]:
    if not letters:
        return []
    notes = [f"\\textsuperscript{{{letter}}}~{escape(text)}\\quad" for text, letter in letters.items()]
    return ["", "\\smallskip", "\\begin{minipage}{\\linewidth}\\footnotesize", *notes, "\\end{minipage}"]
