"""ROC curves of input detectors as a figure: a panel for each defense, a line for each attack, a band over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from benchkit.errors import SpecError
from benchkit.records.record import Record
from benchkit.report.cells import Cell
from benchkit.report.evidence import curves_of
from benchkit.report.figures.canvas import MARGIN, SMALL, Canvas, Legend, Sheet, tall, wrapped
from benchkit.report.tables.matrix import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito, 2008, without their yellow, which is hard to see on white."""
STYLES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")
"""After each seven attacks the line style changes, then the marker."""
MOST_LINES, MOST_PANELS = 100, 60
FINEST = 1e-4
"""Lower limit of a logarithmic axis."""
SIDE, AXIS = 3.1, 0.62
"""Inches: a panel's side, and the space for the ticks and the name of an axis."""
TITLE, TINY = 10.0, 7.5
"""Sizes of a panel's title and of its legend, points."""
DEEP = 23
"""Maximum number of legend lines per column."""
SETTING = ("dataset", "model", "recipe", "poison_rate")
PANEL = (*SETTING, "defense")
"""The axes that are constant within a panel."""
Points = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Line:
    """One attack's curve: its mean over seeds and, with several seeds, the lowest and the highest value."""

    attack: str
    label: str
    fpr: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Panel:
    """The lines of one defense in one setting; the title gives the part of the setting that differs between panels."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Curves:
    """All panels; the title gives the part of the setting that they share."""

    title: str
    panels: tuple[Panel, ...]

    @property
    def seeds(self) -> int:
        """Return the largest number of seeds behind a line."""
        return max(line.seeds for panel in self.panels for line in panel.lines)


def curves_in(cells: Iterable[Cell]) -> tuple[Curves, list[tuple[Record, str]]]:
    """Return the curves of these cells, and the faults found."""
    faults: list[tuple[Record, str]] = []
    found: list[tuple[Cell, Line]] = []
    for cell in cells:
        curves = []
        for record in cell.ok:
            curve, fault = curve_of(record)
            curves += [curve] if curve else []
            faults += [(record, fault)] if fault else []
        if curves:
            found.append((cell, _line(cell, curves)))
    return _curves(found), faults


def _curves(found: list[tuple[Cell, Line]]) -> Curves:
    found = sorted(found, key=lambda one: [one[0].place(axis) for axis in (*PANEL, "attack")])
    vary = [axis for axis in SETTING if len({cell.axis(axis) for cell, _ in found}) > 1]
    same = [_said(found[0][0], axis) for axis in SETTING if axis not in vary] if found else []
    groups = [list(group) for _, group in groupby(found, key=lambda one: [one[0].axis(axis) for axis in PANEL])]
    panels = [
        Panel(
            ", ".join([str(group[0][0].axis("defense")), *(_said(group[0][0], axis) for axis in vary)]),
            tuple(line for _, line in group),
        )
        for group in groups
    ]
    return Curves(", ".join(["ROC curves", *same]), tuple(panels))


def _said(cell: Cell, axis: str) -> str:
    return f"{axis.replace('_', ' ')} {cell.label(axis)}"


def curve_of(record: Record) -> tuple[Points | None, str]:
    """Return a record's ROC curve, or its fault; neither if it has no curve."""
    if record.curves.get("roc") is None:
        return None, ""
    roc = curves_of(record.curves).get("roc")
    if roc is None:
        return None, "its ROC curve is not two lists of as many numbers from 0 to 1"
    if any(low > high for row in (roc["fpr"], roc["tpr"]) for low, high in pairwise(row)):
        return None, "its ROC curve goes backwards"
    return (tuple(roc["fpr"]), tuple(roc["tpr"])), ""


def _line(cell: Cell, curves: Sequence[Points]) -> Line:
    """Average curves at every FPR of any of them (Fawcett, Pattern Recognition Letters 2006, section 8.1)."""
    import numpy as np

    fpr = sorted({value for curve in curves for value in curve[0]})
    every = np.stack([np.interp(fpr, *curve) for curve in curves])
    if len(curves) == 1:
        fpr, every = list(curves[0][0]), np.asarray(curves[0][1])[None]
    mean, low, high = (tuple(row.tolist()) for row in (every.mean(0), every.min(0), every.max(0)))
    return Line(str(cell.axis("attack")), _label(cell), tuple(fpr), mean, low, high, len(curves))


def _label(cell: Cell) -> str:
    return f"{number(cell, 'auroc')}  {cell.label('attack')}"


def draw(curves: Curves, log: bool) -> Canvas:
    """Draw the panels, each with its legend to the right; with a logarithmic FPR axis if ``log``.

    Raises:
        SpecError: if there are too many for one figure.
    """
    panels = curves.panels
    attacks = list(dict.fromkeys(line.attack for panel in panels for line in panel.lines))
    if len(panels) > MOST_PANELS or len(attacks) > MOST_LINES:
        raise SpecError(
            f"{len(panels)} panels of {len(attacks)} attacks are too many for one figure: choose at most "
            f"{MOST_PANELS} and {MOST_LINES} with --attacks, --defenses, --datasets or --models"
        )
    styles = {attack: style(index) for index, attack in enumerate(attacks)}
    legends = [_legend_of(panel, curves.seeds) for panel in panels]
    beside = max(legend.width for legend in legends)
    titles = [wrapped(panel.title, SIDE + beside, TITLE) for panel in panels]
    head = max(tall(title, TITLE) for title in titles) + 0.06
    begin = first_fpr(curves) if log else 0.0
    size = (AXIS + SIDE + beside + MARGIN, head + SIDE + AXIS + 0.1)
    sheet = Sheet(curves.title, _caption(curves, begin), len(panels), *size, aspect=1.8)
    for index, (panel, legend) in enumerate(zip(panels, legends, strict=True)):
        left, top = sheet.place(index)
        sheet.text(left + AXIS, top + head - tall(titles[index], TITLE) - 0.06, titles[index], TITLE)
        spot = sheet.axes(left + AXIS, top + head, SIDE, SIDE)
        _axes(spot, begin)
        for line in panel.lines:
            _line_in(spot, line, styles[line.attack], begin)
        legend.put(spot, spot.get_lines()[1:])
    return sheet


def style(index: int) -> dict[str, Any]:
    """Return the style of an attack's line by its position in the figure; 224 styles are distinct."""
    rest, colour = divmod(index, len(COLOURS))
    more, dashes = divmod(rest, len(STYLES))
    marker = MARKERS[more % len(MARKERS)]
    return {"color": COLOURS[colour], "linestyle": STYLES[dashes], "marker": marker, "markevery": 0.12, "markersize": 4}


def first_fpr(curves: Curves) -> float:
    """Return the start of a logarithmic axis: the lowest FPR above 0 of any curve, at least ``FINEST``."""
    found = [value for panel in curves.panels for line in panel.lines for value in line.fpr if 0 < value < 1]
    return max(FINEST, min(found, default=0.01))


def _legend_of(panel: Panel, most: int) -> Legend:
    few = [f" (n={line.seeds})" if line.seeds < most else "" for line in panel.lines]
    labels = [wrapped(line.label + count, 2.4, TINY) for line, count in zip(panel.lines, few, strict=True)]
    return Legend(
        "AUROC, attack", tuple(labels), math.ceil(sum(label.count("\n") + 1 for label in labels) / DEEP), TINY
    )


def _axes(spot: Axes, begin: float) -> None:
    """Set up the axes of a panel in percent, and draw the line of random guessing."""
    from matplotlib.ticker import LogLocator

    shares = [begin + (1 - begin) * step / 200 for step in range(201)]
    spot.plot(
        [100 * share for share in shares], [100 * share for share in shares], color="#999999", lw=1, ls=(0, (3, 3))
    )
    if begin:
        spot.set_xscale("log")
        spot.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        spot.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    spot.set_xlim(100 * begin - (0 if begin else 1), 100 if begin else 101)
    spot.set_ylim(-1, 101)
    spot.set_xlabel("FPR: clean images flagged, %", fontsize=SMALL)
    spot.set_ylabel("TPR: triggered images flagged, %", fontsize=SMALL)
    spot.tick_params(labelsize=SMALL)
    spot.grid(linewidth=0.4, color="#dddddd")


def _line_in(spot: Axes, line: Line, look: dict[str, Any], begin: float) -> None:
    import numpy as np

    # Curves are linear between their points on linear axes; a logarithmic axis needs more points for that.
    fpr = np.union1d(line.fpr, np.geomspace(begin, 1, 200)) if begin else np.asarray(line.fpr)
    rows = (line.mean, line.low, line.high)
    mean, low, high = (100 * (np.interp(fpr, line.fpr, row) if begin else np.asarray(row)) for row in rows)
    spot.plot(100 * fpr, mean, linewidth=1.5, **look)
    if line.seeds > 1:
        spot.fill_between(100 * fpr, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _caption(curves: Curves, begin: float) -> str:
    several = f"Lines: mean over {curves.seeds} seeds at each FPR, (n=...) for fewer; bands: lowest to highest seed."
    axis = f" The axis begins at {100 * begin:.2g} %, the lowest FPR above 0 that the records hold." if begin else ""
    return f"{several if curves.seeds > 1 else 'One seed.'} AUROC as in tables, in %. Grey dashes: guessing.{axis}"
