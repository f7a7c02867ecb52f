"""What retuning and plain fine-tuning say of each repair, in one line."""

from __future__ import annotations

from collections.abc import Iterable

from benchkit.records.metrics import metric
from benchkit.report.cells import Cell

HEADING = "Retuned with 5 poisons, and beside plain fine-tuning"


def retuned(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return one line for each cell whose repair was retuned."""
    return tuple(
        f"{cell.axis('attack')} x {cell.axis('defense')}: {'; '.join(_said(cell))}"
        for cell in cells
        if cell.summary("asr_retuned")
    )


def _said(cell: Cell) -> list[str]:
    said = [f"ASR {_text(cell, 'asr')}, retuned {_text(cell, 'asr_retuned')}"]
    said += [f"a benign model retuned {_text(cell, 'asr_retuned_benign')}"]
    plain = [f"{word} {_text(cell, f'{name}_finetuned')}" for word, name in (("C-Acc", "c_acc"), ("ASR", "asr"))]
    return said + ([f"plain fine-tuning {' / '.join(plain)}"] if cell.summary("asr_finetuned") else [])


def _text(cell: Cell, name: str) -> str:
    found = cell.summary(name)
    return metric(name).text(found.mean) if found else "n/a"
