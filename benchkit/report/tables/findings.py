"""What a table found, before its numbers: which defense stops most, at what cost, and which attack none stops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchkit.records.doubts import OF_THE_ROW
from benchkit.report.cells import Cell
from benchkit.report.leading import may_lead
from benchkit.report.meaning import good
from benchkit.report.tables.matrix import Axes

STOPPED = 0.8
"""How good the worst headline number of a cell is at least if its defense stops the attack: see ``RULE``."""
RULE = (
    "A defense stops an attack if it leaves at most 20 % ASR and costs at most 2 points of C-Acc, or if a detector "
    "finds 80 % of it (BDR - control) at an AUROC of at least 90 %; never with a warning"
)


@dataclass(frozen=True)
class Stopping:
    """How many of the attacks that it met a defense stops; ``cost`` is what it does where there is nothing to find.

    ``seconds`` is the mean over its cells, its preparation counted, None if no record has it.
    """

    defense: str
    kind: str
    stopped: tuple[str, ...]
    met: tuple[str, ...]
    cost: str
    seconds: float | None


@dataclass(frozen=True)
class Findings:
    """What a table says as a whole.

    Attributes:
        proven: the attacks whose victims are evidence: they implant, and break nothing.
        unproven: the other attacks.
        stopping: the defenses, those first that stop the largest share of the proven attacks that they met.
        open: the proven attacks that no defense of the table stops.
        rule: what "stops" means.
    """

    proven: tuple[str, ...]
    unproven: tuple[str, ...]
    stopping: tuple[Stopping, ...]
    open: tuple[str, ...]
    rule: str = RULE


def findings(cells: Sequence[Cell]) -> Findings:
    """Return what one table found; ``cells`` are of one dataset, model, recipe and poison rate."""
    attacked = [cell for cell in cells if not cell.benign]
    names = list(dict.fromkeys(str(cell.axis("attack")) for cell in attacked))
    doubted = {str(cell.axis("attack")) for cell in attacked if not _evidence(cell)}
    proven = tuple(name for name in names if name not in doubted)
    tried = [cell for cell in attacked if _tried(cell) and cell.axis("attack") not in doubted]
    found = _stopping(tried, [cell for cell in cells if cell.benign])
    stopped = {name for one in found for name in one.stopped}
    met = {str(cell.axis("attack")) for cell in tried}
    still = tuple(name for name in proven if name in met - stopped)
    return Findings(proven, tuple(name for name in names if name in doubted), found, still)


def stops(cell: Cell) -> bool:
    """Return whether the defense of a cell stops its attack, by ``RULE``."""
    return may_lead(cell) and (good(cell, Axes().shown(cell)) or 0.0) >= STOPPED


def _tried(cell: Cell) -> bool:
    """Return whether a cell tells what a defense does: one pair of models, right or wrong by chance, does not."""
    return not cell.baseline and not cell.paired and bool(cell.ok)


def _evidence(cell: Cell) -> bool:
    return cell.row.asr is not None and not OF_THE_ROW & cell.row.doubts


def _stopping(tried: Sequence[Cell], benign: Sequence[Cell]) -> tuple[Stopping, ...]:
    columns: dict[str, list[Cell]] = defaultdict(list)
    for cell in tried:
        columns[str(cell.axis("defense"))].append(cell)
    idle = {str(cell.axis("defense")): cell for cell in benign}
    found = [_one(name, column, idle.get(name)) for name, column in columns.items()]
    return tuple(sorted(found, key=lambda one: (-len(one.stopped) / len(one.met), -len(one.met), one.defense)))


def _one(name: str, column: Sequence[Cell], idle: Cell | None) -> Stopping:
    seconds = [found.mean for cell in column if (found := cell.summary("seconds"))]
    return Stopping(
        name,
        column[0].kind,
        tuple(str(cell.axis("attack")) for cell in column if stops(cell)),
        tuple(str(cell.axis("attack")) for cell in column),
        _cost(idle) if idle else "",
        sum(seconds) / len(seconds) if seconds else None,
    )


def _cost(idle: Cell) -> str:
    """Return what a defense costs where there is nothing to find: false alarms, or C-Acc that is lost."""
    alarms, left = idle.summary("fpr"), idle.summary("c_acc")
    if idle.kind.endswith("detector"):
        return f"{idle.known('fpr').text(alarms.mean)} % false alarms" if alarms else ""
    if left is None or idle.row.c_acc is None:
        return ""
    lost = idle.known("c_acc").text(idle.row.c_acc - left.mean)
    return f"{lost} points of C-Acc" if not lost.startswith("-") else f"gains {lost[1:]} points of C-Acc"
