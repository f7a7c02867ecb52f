"""What is particular to the attack of a row: its trigger, its poisons and covers, and who trains its victim."""

from __future__ import annotations

from collections.abc import Iterable

from benchkit.records.metrics import metric
from benchkit.report.cells import Cell
from benchkit.report.rows import Row
from benchkit.text import source_classes_named

OVER_SOURCES = "its numbers are over triggered test images of these, 'ASR, other classes' is over all others"
TRAINED_ANEW = ("training filter", "robust training")
"""Kinds of defense whose model the defender trains."""
ALONE = (
    "its attacker trains the undefended victim, and defenses that train a model do so without the attacker, on the "
    "poisoned set alone: part of what they change is that"
)


def changed(cells: Iterable[Cell]) -> list[str]:
    """Return what is particular to each row: its trigger, its poisoned share if too low, its covers, its training."""
    return list(dict.fromkeys(f"{cell.axis('attack')}: {line}" for cell in cells for line in _particular(cell)))


def _particular(cell: Cell) -> list[str]:
    controls = any(record.attack_info.get("access") == "training" for record in cell.records)
    return [*_changed(cell.row), *([ALONE] if controls and cell.kind in TRAINED_ANEW else [])]


def _changed(row: Row) -> list[str]:
    lines = [f"{source_classes_named(row.sources)}: {OVER_SOURCES}"] if row.sources else []
    if row.test_strength != 1:
        lines.append(f"its trigger is {row.test_strength:g} times as strong on test images as in training")
    if row.poisoned is not None and row.asked is not None:
        share = metric("poisoned").text(row.poisoned)
        lines.append(f"{share} % of the training set was poisoned, not the requested {100 * row.asked:g} %")
    if row.covered is not None:
        less = "" if row.covers_asked is None else f", not the requested {100 * row.covers_asked:g} %"
        share = metric("covered").text(row.covered)
        lines.append(f"{share} % of the training set are covers{less}: changed images that keep their true label")
    return lines
