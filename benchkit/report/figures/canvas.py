"""A figure with positions in inches from its top left corner; its text is untrusted and never read as mathematics."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.report.figures.spectra import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

EM = 0.5 / 72
"""Width in inches of a letter of one point: a little less than the mean of the default font."""
BOLD = 1.18
"""Approximate width of bold letters, relative to normal ones."""
FEWEST = 8
"""Minimum number of letters per line, even if they do not fit."""
LINE = 1.25 / 72
"""Height in inches of a line of one point."""
QUIET = "#555555"
"""Colour of the text below a name."""
LARGE, SMALL = 12.0, 8.0
"""Sizes of a title and of a caption, points."""
MARGIN = 0.3
"""Space around a figure and between its cells, inches."""


class Canvas:
    """A matplotlib figure of a fixed size; positions are inches from the left and from the top."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes."""
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )  # fmt: skip

    def text(self, left: float, top: float, lines: str, size: float, **style: Any) -> None:
        """Write lines literally."""
        at = left / self.width, 1 - top / self.height
        self.figure.text(*at, lines, fontsize=size, va="top", parse_math=False, **style)

    def save(self, path: Path) -> None:
        """Write the figure in the format of the file's extension.

        Raises:
            PlotError: if the file cannot be written.
        """
        with quiet():
            save(self.figure, path)


@contextmanager
def quiet() -> Iterator[None]:
    """Draw letters that the font lacks as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*missing from")
        yield


class Sheet(Canvas):
    """A title, a grid of cells of one size with a balanced aspect ratio, and a caption.

    Args:
        count: how many cells.
        width, height: of a cell, inches, including the space to the next one.
        head: height in inches of the head above each column.
        down: fill column by column, else row by row.
        aspect: approximate width / height of all cells together.
    """

    def __init__(
        self, title: str, caption: str, count: int, width: float, height: float, *,
        head: float = 0.0, down: bool = False, aspect: float = 1.0,
    ) -> None:  # fmt: skip
        columns = max(1, round(math.sqrt(aspect * count * height / width)))
        rows = math.ceil(count / columns)
        columns = math.ceil(count / rows) if down else columns
        full = MARGIN + columns * width
        inside = full - 2 * MARGIN
        title, caption = wrapped(title, inside / BOLD, LARGE), wrapped(caption, inside, SMALL, 6)
        self._cell, self._shape, self._down = (width, height), (rows, columns), down
        self.top = MARGIN + tall(title, LARGE) + 0.1 + head
        end = self.top + rows * height
        super().__init__(full, end + tall(caption, SMALL) + MARGIN)
        self.text(MARGIN, MARGIN - 0.08, title, LARGE, weight="bold")
        self.text(MARGIN, end + 0.08, caption, SMALL, color=QUIET)

    def place(self, index: int) -> tuple[float, float]:
        """Return the left and the top position of a cell, inches."""
        rows, columns = self._shape
        column, row = divmod(index, rows) if self._down else divmod(index, columns)[::-1]
        return MARGIN + column * self._cell[0], self.top + row * self._cell[1]


def wrapped(text: str, width: float, size: float, lines: int = 2) -> str:
    """Break text into at most ``lines`` lines of a width in inches; the rest becomes an ellipsis."""
    letters = max(FEWEST, int(width / (EM * size)))
    while wide(_broken(text, letters, lines), size) > width and letters > FEWEST:
        letters = max(FEWEST, int(0.9 * letters))
    return _broken(text, letters, lines)


def _broken(text: str, letters: int, lines: int) -> str:
    return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder="…", break_on_hyphens=False))


def wide(text: str, size: float) -> float:
    """Return the width in inches of the longest line of text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with quiet():
        widths = [
            text_to_path.get_text_width_height_descent(line, FontProperties(size=size), ismath=False)[0]
            for line in text.split("\n")
        ]
    return float(max(widths)) / 72


def tall(text: str, size: float) -> float:
    """Return the height in inches of lines of text."""
    return (text.count("\n") + 1) * LINE * size


@dataclass(frozen=True)
class Legend:
    """The legend to the right of a panel: a head, and a label for each line, in one or more columns."""

    head: str
    labels: tuple[str, ...]
    columns: int
    size: float

    @property
    def width(self) -> float:
        """Return its width, inches."""
        # As in matplotlib: if the columns are not equal, the first ones have one label more.
        few, more = divmod(len(self.labels), self.columns)
        counts = [few + (column < more) for column in range(self.columns)]
        starts = [sum(counts[:column]) for column in range(self.columns)]
        widths = [
            max(wide(label, self.size) for label in self.labels[start : start + count])
            for start, count in zip(starts, counts, strict=True)
        ]
        return max(wide(self.head, self.size), sum(widths) + self.columns * 0.58) + 0.1

    def put(self, spot: Axes, lines: Sequence[Line2D]) -> None:
        """Draw it beside the axes of these lines."""
        drawn = spot.legend(
            lines, [str(index) for index in range(len(lines))], title=self.head, ncols=self.columns,
            fontsize=self.size, title_fontsize=self.size, loc="upper left", bbox_to_anchor=(1.02, 1.02),
            frameon=False, handlelength=2.6, alignment="left", borderaxespad=0.2,
        )  # fmt: skip
        # matplotlib omits labels that begin with an underscore if they are passed with the lines.
        for entry, label in zip(drawn.get_texts(), self.labels, strict=True):
            entry.set(text=label, parse_math=False)
