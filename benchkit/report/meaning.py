"""What a cell means for the defender: from 0, the attack won or the model is lost, to 1."""

from __future__ import annotations

from benchkit.records.doubts import DEFENDED_AT_CHANCE, DEFENDED_BROKEN, LOST
from benchkit.report.cells import Cell

RUINED = {DEFENDED_AT_CHANCE, DEFENDED_BROKEN}


def good(cell: Cell, names: tuple[str, ...]) -> float | None:
    """Return how good the worst of these shares of a cell is for the defender, 0 to 1; None without any.

    C-Acc counts by what it lost against the victim's: nothing is left of it at ``LOST``. Numbers that guessing reaches
    count from there. A model that the defense ruined is worth nothing, whatever its ASR.
    """
    if RUINED & cell.warnings():
        return 0.0
    found = [place for name in names if (place := _place(cell, name)) is not None]
    return min(found, default=None)


def _place(cell: Cell, name: str) -> float | None:
    known, found = cell.known(name), cell.summary(name)
    if found is None or not known.percent or known.better == "neither":
        return None
    if name == "c_acc" and cell.row.c_acc is not None and not cell.baseline:
        return _within(1 - (cell.row.c_acc - found.mean) / LOST)
    start = known.idle or 0.0
    return _within((found.mean - start) / (1 - start) if known.better == "higher" else 1 - found.mean)


def _within(place: float) -> float:
    return min(1.0, max(0.0, place))
