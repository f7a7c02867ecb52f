"""Which cell does better than which, and who may lead: every format and the mean ranks ask here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchkit.records.doubts import LOST, SHORTFALL
from benchkit.records.metrics import METRICS, headline, metric
from benchkit.report.cells import Cell

OF_THE_MODEL = ("c_acc", "asr", "ra", "der")
"""What a model answers: comparable across kinds of defense."""
LEAD = 0.05
"""The least lead, as a share, where neither seeds nor a number of test images give an interval."""
PARTS = {
    "der": (0.5, ("asr", "c_acc")),
    "bdr_net": (1.0, ("bdr", "fpr_control")),
    "acc": (0.5, ("bdr", "fpr")),
    "acc_argmax": (0.5, ("bdr_argmax", "fpr_argmax")),
}
"""Metrics that are sums of two shares: what each is weighted with, and which."""
OVER_CLEAN = ("c_acc", "c_acc_after")
OVER_ROWS = ("precision", "recall", "fpr")
"""Of a training filter, over training images."""
Z = 1.959964
"""The 97.5 % quantile of the normal distribution."""


def judged(cell: Cell) -> str:
    """Return the metric by which a cell is compared where none is asked for: DER, or what its kind is judged by."""
    last = headline(cell.kind, benign=False)[-1]
    return "der" if last == "asr" and "der" in cell.metrics() else last


def may_lead(cell: Cell) -> bool:
    """Return whether nothing speaks against a cell: no warning but of crafting, and at most ``LOST`` of C-Acc gone."""
    found = cell.summary("c_acc")
    spent = found and cell.row.c_acc is not None and cell.row.c_acc - found.mean > LOST + 1e-9
    doubted = any(not text.startswith(SHORTFALL) for text in cell.warnings())
    return not (cell.benign or doubted or spent)


@dataclass(frozen=True)
class Score:
    """One number of a cell: its mean, half its interval, how many seeds it has, and whether the cell ``may_lead``."""

    mean: float
    margin: float
    seeds: int
    able: bool


def score(cell: Cell, name: str) -> Score | None:
    """Return a cell's number by which it is compared, where it has that metric."""
    found = cell.summary(name)
    return Score(found.mean, margin(cell, name), found.n, may_lead(cell)) if found else None


def beats(one: Score, other: Score, name: str) -> bool:
    """Return whether one cell's number is clearly better than another's.

    They must not read the same, and lie further apart than both half intervals together (root of summed squares).
    """
    known = metric(name)
    lead = one.mean - other.mean if known.better == "higher" else other.mean - one.mean
    return lead > math.hypot(one.margin, other.margin) and known.text(one.mean) != known.text(other.mean)


def leaders(rivals: Sequence[Cell], name: str) -> list[Cell]:
    """Return who leads among the cells of one row by a metric; ``rivals`` are defenses that have it.

    Who is not clearly worse than the best shares the first place. Where that is all who may lead, or one of them may
    be no better than doing nothing, guessing or the processing alone, nothing was won.
    """
    known, every = metric(name), [(cell, found) for cell in rivals if (found := score(cell, name))]
    may = [(cell, found) for cell, found in every if found.able]
    able = [(cell, found) for cell, found in may if not _idle(cell, name, clearly=False)]
    if known.better == "neither" or not able or len({known.text(found.mean) for _, found in every}) == 1:
        return []
    means = [found.mean for _, found in able]
    best = able[means.index(max(means) if known.better == "higher" else min(means))][1]
    first = [cell for cell, found in able if not beats(best, found, name)]
    unsure = any(_idle(cell, name, clearly=True) for cell in first)
    return [] if unsure or 1 < len(first) == len(may) else first


def margin(cell: Cell, name: str) -> float:
    """Return half the 95 % interval of a cell's number.

    That over its seeds where there is one, that over the models which were judged, or Wilson's binomial one over the
    test images. Where a record does not say how many those were, two cells must differ by ``LEAD``. 0 for what is no
    share.
    """
    found, ends = cell.summary(name), cell.ends(name)
    if found and found.ci95 is not None:
        return found.ci95
    if found and ends:
        return max(ends[1] - found.mean, found.mean - ends[0])
    if not metric(name).percent:
        return 0.0
    return _binomial(cell, name)


def _binomial(cell: Cell, name: str) -> float:
    weight, parts = PARTS.get(name, (1.0, (name,)))
    widths = [_wilson(cell, part) for part in parts]
    known = [width for width in widths if width is not None]
    return weight * math.hypot(*known) if len(known) == len(parts) else LEAD / math.sqrt(2)


def _wilson(cell: Cell, name: str) -> float | None:
    """Return half of Wilson's interval of one share (of an AUROC: an upper bound), if the images were counted."""
    found, images = cell.summary(name), _images(cell, name)
    if found is None or not images or not 0 <= found.mean <= 1:
        return None
    spread = found.mean * (1 - found.mean) / images + Z**2 / (4 * images**2)
    return Z * math.sqrt(spread) / (1 + Z**2 / images)


def _images(cell: Cell, name: str) -> int:
    """Return over how many test images a share is, under the seed that has fewest; 0 where it is not known."""
    if name not in METRICS or (cell.kind == "training filter" and name in OVER_ROWS):
        return 0
    which = "clean" if name in OVER_CLEAN else "triggered"
    return min((record.tested.get(which, 0) for record in cell.ok), default=0)


def _idle(cell: Cell, name: str, clearly: bool) -> bool:
    """Return whether a cell is no better than doing nothing, by this metric or another that its kind shows.

    With ``clearly`` it must be better by more than its interval. A detector that flags as many images without the
    trigger has a high AUROC for the processing alone.
    """
    if name == "asr" and cell.row.asr is not None:
        spread = math.hypot(margin(cell, name), cell.row.asr.ci95 or 0.0) if clearly else 0.0
        return cell.row.asr.mean - _mean(cell, name) <= spread
    names = (name, *headline(cell.kind, benign=False)) if metric(name).idle is not None else ()
    return any(cell.summary(one) is not None and _as_idle(cell, one, clearly) for one in names)


def _as_idle(cell: Cell, name: str, clearly: bool) -> bool:
    known, mean = metric(name), _mean(cell, name)
    if known.idle is None:
        return False
    gained = mean - known.idle if known.better == "higher" else known.idle - mean
    return known.is_idle(mean) or gained <= (margin(cell, name) if clearly else 0.0)


def _mean(cell: Cell, name: str) -> float:
    found = cell.summary(name)
    assert found is not None
    return found.mean
