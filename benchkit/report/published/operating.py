"""BDR at the FPR of a published BDR, because detectors at different FPR differ at least in their thresholds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from benchkit.records.metrics import AT_PUBLISHED_FPR
from benchkit.report.cells import Cell
from benchkit.report.evidence import curves_of
from benchkit.report.published.numbers import Published
from benchkit.report.summaries import Summary, summarize

Rows = Mapping[tuple[str, ...], Published]
"""The rows of a file by attack, defense, dataset and metric."""
BDR = ("bdr", "bdr_argmax")
NAME = AT_PUBLISHED_FPR.name


def published_fpr(row: Published, rows: Rows) -> float | None:
    """Return the FPR at which a published BDR was measured, or None if the file does not give it.

    It is the ``fpr`` of the row, else the published FPR of the same cell, else the FPR from its ACC: ACC is the mean of
    BDR and 1 - FPR.
    """
    if row.metric not in BDR:
        return None
    if row.fpr is not None:
        return row.fpr
    own = row.metric.removeprefix("bdr")
    fpr, acc = (rows.get((*row.place[:-1], f"{name}{own}")) for name in ("fpr", "acc"))
    if fpr:
        return fpr.value
    return min(1.0, max(0.0, 1 + row.value - 2 * acc.value)) if acc else None


def has_curve(cell: Cell) -> bool:
    """Return whether any seed of a cell has a ROC curve."""
    return any("roc" in curves_of(record.curves) for record in cell.ok)


def bdr_at(cell: Cell, fpr: float) -> Summary | None:
    """Return the BDR of a cell at an FPR, over the seeds with a curve."""
    curves = [curves_of(record.curves).get("roc") for record in cell.ok]
    values = [_read(curve["fpr"], curve["tpr"], fpr) for curve in curves if curve]
    return summarize(values) if values else None


def _read(fpr: Sequence[float], tpr: Sequence[float], at: float) -> float:
    """Return the TPR of a curve at an FPR, linear between points; the highest of several points at one FPR."""
    right = bisect_right(fpr, at)
    if right == 0 or right == len(fpr):
        return tpr[min(right, len(tpr) - 1)]
    low, high = fpr[right - 1], fpr[right]
    share = (at - low) / (high - low)
    return tpr[right - 1] + share * (tpr[right] - tpr[right - 1])
