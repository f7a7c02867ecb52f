"""The columns of a LaTeX table: numbers whose decimal points are below each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchkit.report.tables.document import ABSENT, FAILED, MISSING, SKIPPED, TIMEOUT, Entry, Head

Mark = Callable[[str, bool], str]
"""Escapes a text, and marks it if it is the best."""
SIGNS = (FAILED, TIMEOUT, SKIPPED, MISSING, ABSENT)
HALF = " ± "
_ESCAPES = {char: f"\\{char}" for char in "_%&#${}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "`": "\\textasciigrave{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "±": "$\\pm$",
    # After a line's end or \item these would be read as its argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    FAILED: "$\\times$",
    TIMEOUT: "$\\infty$",
    SKIPPED: "--",
    MISSING: "$\\cdot$",
}
_LAST_LETTER = "\u017f"
"""The last character that LaTeX sets without another package; others would stop it."""


def escape(text: str) -> str:
    """Return text escaped for LaTeX; characters that its fonts lack are written as code points."""
    return "".join(
        _ESCAPES.get(char, char if char <= _LAST_LETTER else f"{{[}}U+{ord(char):04X}{{]}}") for char in text
    )


def span(text: str, columns: int) -> str:
    """Return a head over some columns."""
    return f"\\multicolumn{{{columns}}}{{c}}{{{escape(text)}}}"


@dataclass(frozen=True)
class Column:
    """A column of a report's table: as many columns in LaTeX as its entries have numbers."""

    head: Head
    entries: Sequence[Entry]

    @property
    def shows(self) -> list[str]:
        """Return the names of these numbers; one, which may be empty, where the head names none."""
        return self.head.shows.split(" / ")

    @property
    def alignment(self) -> str:
        """Return how LaTeX aligns it: numbers to the right, sentences to the left."""
        numbers = all(entry.text in SIGNS or entry.text[:1] in "+-.0123456789" for entry in self.entries)
        return "r" * len(self.shows) if numbers or len(self.shows) > 1 else "l"

    def cells(self, mark: Mark, notes: Mapping[Entry, str]) -> list[str]:
        """Return its cells, joined to one for each row; ``notes`` has the letters of an entry's footnotes."""
        room = max((notes[entry] for entry in self.entries), key=len, default="")
        space = f"\\hphantom{{\\textsuperscript{{{room}}}}}" if room else ""
        return [self._written(entry, mark, notes[entry], space) for entry in self.entries]

    def _written(self, entry: Entry, mark: Mark, note: str, space: str) -> str:
        noted = f"\\rlap{{\\textsuperscript{{{note}}}}}" if note else ""
        *others, last = self._numbers(entry) or [""]
        if not last:
            text = f"{mark(entry.text, entry.best)}{noted}{space}"
            return f"\\multicolumn{{{len(self.shows)}}}{{r}}{{{text}}}" if len(self.shows) > 1 else text
        padded = [_padded(text, self._half(place), mark, entry.best, "") for place, text in enumerate(others)]
        return " & ".join([*padded, _padded(last, self._half(-1), mark, entry.best, noted) + space])

    def _numbers(self, entry: Entry) -> list[str]:
        """Return the numbers of an entry, or nothing where it has others than the head says."""
        found = entry.text.split(" / ")
        return found if len(found) == len(self.shows) else []

    def _half(self, place: int) -> str:
        """Return the longest half interval of a number, or nothing."""
        found = [numbers[place] for entry in self.entries if (numbers := self._numbers(entry))]
        return max((text.partition(HALF)[2] for text in found), key=len, default="")


def _padded(number: str, longest: str, mark: Mark, best: bool, noted: str) -> str:
    """Return a number and its note; its interval takes the room of the longest, so that means are below each other."""
    mean, _, half = number.partition(HALF)
    missing = escape(longest[: len(longest) - len(half)])
    if not missing:
        return mark(number, best) + noted
    if not half:
        return f"{mark(mean, best)}{noted}\\hphantom{{ $\\pm$ {missing}}}"
    return f"{mark(mean, best)} $\\pm$ \\hphantom{{{missing}}}{mark(half, best)}{noted}"
