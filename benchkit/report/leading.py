"""The comparison of cells, and which may be best: used by every format and by the mean ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchkit.records.doubts import LOST, SHORTFALL
from benchkit.records.metric import Metric
from benchkit.records.metrics import METRICS, headline
from benchkit.report.cells import Cell, known_in

OF_THE_MODEL = ("c_acc", "asr", "ra", "der")
"""Metrics of a model's predictions, comparable across kinds of defense."""
LEAD = 0.05
"""The minimum lead, as a share, if neither seeds nor a number of test images give an interval."""
PARTS = {
    "der": (0.5, ("asr", "c_acc")),
    "bdr_net": (1.0, ("bdr", "fpr_control")),
    "acc": (0.5, ("bdr", "fpr")),
    "acc_argmax": (0.5, ("bdr_argmax", "fpr_argmax")),
}
"""Metrics that are sums of two shares: the weight, and the two shares."""
OVER_CLEAN = ("c_acc", "c_acc_after", "c_acc_finetuned", "certified_acc")
OVER_MODELS = "target_found"
OVER_ROWS = ("precision", "recall", "cover_recall", "fpr")
"""Of a training filter, over training images."""
Z = 1.959964
"""The 97.5 % quantile of the normal distribution."""


def judged(cell: Cell) -> str:
    """Return the default metric for comparing a cell: DER, or the headline metric of its kind."""
    last = headline(cell.kind, benign=False)[-1]
    return "der" if last == "asr" and "der" in cell.metrics() else last


def may_lead(cell: Cell) -> bool:
    """Return whether a cell may be best: no warning except about crafting, and a C-Acc loss of at most ``LOST``."""
    found = cell.summary("c_acc")
    spent = found and cell.row.c_acc is not None and cell.row.c_acc - found.mean > LOST + 1e-9
    doubted = any(not text.startswith(SHORTFALL) for text in cell.warnings())
    return not (cell.benign or doubted or spent)


@dataclass(frozen=True)
class Score:
    """One number of a cell: its mean, half its interval, its number of seeds, and whether the cell ``may_lead``."""

    mean: float
    margin: float
    seeds: int
    able: bool


def score(cell: Cell, name: str) -> Score | None:
    """Return the number by which a cell is compared, or None if it lacks that metric."""
    found = cell.summary(name)
    return Score(found.mean, margin(cell, name), found.n, may_lead(cell)) if found else None


def beats(one: Score, other: Score, known: Metric) -> bool:
    """Return whether one cell's number is clearly better than another's.

    The printed numbers must differ, and the difference must exceed both half intervals together (root of summed
    squares).
    """
    lead = one.mean - other.mean if known.better == "higher" else other.mean - one.mean
    return lead > math.hypot(one.margin, other.margin) and known.text(one.mean) != known.text(other.mean)


def leaders(rivals: Sequence[Cell], name: str) -> list[Cell]:
    """Return the best cells of one row by a metric; ``rivals`` are defenses that have it.

    Cells that are not clearly worse than the best share the first place. The result is empty if these are all
    candidates, or if one of them may be no better than no defense, guessing or the processing alone.
    """
    known, every = known_in(rivals, name), [(cell, found) for cell in rivals if (found := score(cell, name))]
    may = [(cell, found) for cell, found in every if found.able]
    able = [(cell, found) for cell, found in may if not _idle(cell, name, clearly=False)]
    if known.better == "neither" or not able or len({known.text(found.mean) for _, found in every}) == 1:
        return []
    means = [found.mean for _, found in able]
    best = able[means.index(max(means) if known.better == "higher" else min(means))][1]
    first = [cell for cell, found in able if not beats(best, found, known)]
    unsure = any(_idle(cell, name, clearly=True) for cell in first)
    return [] if unsure or 1 < len(first) == len(may) else first


def margin(cell: Cell, name: str) -> float:
    """Return half the 95 % interval of a cell's number.

    It is the interval over seeds if there is one, else the interval over the judged models, else Wilson's binomial
    interval over the test images. If a record does not give their number, two cells must differ by ``LEAD``. It is 0
    for metrics that are not shares.
    """
    found, ends = cell.summary(name), cell.ends(name)
    if found and found.ci95 is not None:
        return found.ci95
    if found and ends:
        return max(ends[1] - found.mean, found.mean - ends[0])
    if not cell.known(name).percent:
        return 0.0
    return _binomial(cell, name)


def _binomial(cell: Cell, name: str) -> float:
    weight, parts = PARTS.get(name, (1.0, (name,)))
    widths = [_wilson(cell, part) for part in parts]
    known = [width for width in widths if width is not None]
    return weight * math.hypot(*known) if len(known) == len(parts) else LEAD / math.sqrt(2)


def _wilson(cell: Cell, name: str) -> float | None:
    """Return half of Wilson's interval of one share (of an AUROC: an upper bound), if the number of images is known."""
    found, images = cell.summary(name), _images(cell, name)
    if found is None or not images or not 0 <= found.mean <= 1:
        return None
    spread = found.mean * (1 - found.mean) / images + Z**2 / (4 * images**2)
    return Z * math.sqrt(spread) / (1 + Z**2 / images)


def _images(cell: Cell, name: str) -> int:
    """Return the number of test images of a share, the smallest of all seeds; 0 if it is not known."""
    if name not in METRICS or name == OVER_MODELS or (cell.kind == "training filter" and name in OVER_ROWS):
        return 0
    which = "clean" if name in OVER_CLEAN else "triggered"
    return min((record.tested.get(which, 0) for record in cell.ok), default=0)


def _idle(cell: Cell, name: str, clearly: bool) -> bool:
    """Return whether a cell has no effect, by this metric or another headline metric of its kind.

    With ``clearly``, an effect must be larger than its interval. A detector that flags as many images without the
    trigger has a high AUROC only because of the processing.
    """
    if name == "asr" and cell.row.asr is not None:
        spread = math.hypot(margin(cell, name), cell.row.asr.ci95 or 0.0) if clearly else 0.0
        return cell.row.asr.mean - _mean(cell, name) <= spread
    names = (name, *headline(cell.kind, benign=False)) if cell.known(name).idle is not None else ()
    return any(cell.summary(one) is not None and _as_idle(cell, one, clearly) for one in names)


def _as_idle(cell: Cell, name: str, clearly: bool) -> bool:
    known, mean = cell.known(name), _mean(cell, name)
    if known.idle is None:
        return False
    gained = mean - known.idle if known.better == "higher" else known.idle - mean
    return known.is_idle(mean) or gained <= (margin(cell, name) if clearly else 0.0)


def _mean(cell: Cell, name: str) -> float:
    found = cell.summary(name)
    assert found is not None
    return found.mean
