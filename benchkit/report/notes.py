"""The notes below a matrix: what the numbers mean, what was assumed, what went wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from benchkit.metrics import metric
from benchkit.report.aggregate import Cell, varying
from benchkit.report.layout import ABSENT, GLYPHS, MEANING, Entry
from benchkit.report.load import printable

Notes = tuple[tuple[str, tuple[str, ...]], ...]
_NAMED = 6


def notes_of(cells: list[Cell], names: list[str], entries: list[Entry], most: int) -> Notes:
    """Return the notes of a matrix; sections with nothing to say are left out."""
    notes = (
        ("Legend", (*(metric(name).legend() for name in names), *_signs(entries), seeds_line(most))),
        ("Assumptions", assumptions(cells)),
        ("Failed, timed out or skipped", faults(cells)),
        ("Warnings", warnings(cells)),
    )
    return tuple((heading, lines) for heading, lines in notes if lines)


def _signs(entries: list[Entry]) -> list[str]:
    # An n/a may be one half of an entry; the other signs stand alone.
    texts = {entry.text for entry in entries}
    used = [sign for sign in MEANING if sign in texts or (sign == ABSENT and any(ABSENT in t for t in texts))]
    lines = [", ".join(f"{sign} {MEANING[sign]}" for sign in used)] if used else []
    if any(entry.best for entry in entries):
        lines.append(
            "Bold: best against that attack, by ASR among all that change what the model answers, else within its kind"
        )
    return lines


def seeds_line(most: int) -> str:
    """Say how many seeds stand behind a number, and what its interval is."""
    if most == 1:
        return "One seed; an interval is shown from three seeds on"
    interval = "± is its 95 % t-interval" if most >= 3 else "an interval is shown from three seeds on"
    return f"Mean over {most} seeds; {interval}; (n=...) where fewer seeds count"


def assumptions(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Say what each attacker controls and what each defender holds, one line per component."""
    cells = list(cells)
    attacks = {_attack_line(cell) for cell in cells if not cell.benign}
    defenses = {line for cell in cells if not cell.baseline for line in _defense_lines(cell)}
    return (*sorted(attacks - {""}), *sorted(defenses))


def _attack_line(cell: Cell) -> str:
    info = {name: value for record in cell.records for name, value in record.attack_info.items()}
    words = (("access", "access"), ("label_policy", "label"))
    said = [f"{printable(str(info[name]))} {word}" for name, word in words if info.get(name)]
    return f"{cell.axis('attack')}: attacker with {', '.join(said)}" if said else ""


def _defense_lines(cell: Cell) -> set[str]:
    return {
        f"{cell.axis('defense')}: {'; '.join(said)}"
        for record in cell.records
        if (said := _defense_said(record.defense_info))
    }


def _defense_said(info: dict[str, object]) -> list[str]:
    said = [", ".join(printable(str(info[name])) for name in ("kind", "stage") if info.get(name))]
    share = info.get("clean")
    if isinstance(share, int | float):
        said.append(f"holds clean images worth {100 * share:g} % of the training set")
    if info.get("overlap") is True:
        said.append("sees victim training images")
    return [words for words in said if words]


def faults(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return each distinct error once, with the cells that met it."""
    cells = list(cells)
    axes = varying(cells)
    met: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in cells:
        for record in cell.records:
            if record.status != "ok":
                met[record.status, record.error or "no reason recorded"].append(_where(cell, record.seed, axes))
    return tuple(f"{GLYPHS[status]} {error} [{_some(places)}]" for (status, error), places in sorted(met.items()))


def warnings(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return each distinct warning once, with the number of records that carry it."""
    counts = Counter(text for cell in cells for record in cell.records for text in set(record.warnings))
    return tuple(f"{text} ({count} record{'s' * (count > 1)})" for text, count in sorted(counts.items()))


def _where(cell: Cell, seed: int, axes: list[str]) -> str:
    more = [cell.label(axis) for axis in axes if axis not in ("attack", "defense")]
    return " ".join([f"{cell.axis('attack')} x {cell.axis('defense')}", *more, f"seed {seed}"])


def _some(places: list[str]) -> str:
    rest = len(places) - _NAMED
    return "; ".join(places[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
