"""Tables of docs/results whose numbers come from the committed records, and nowhere else.

    python docs/_ext/result_tables.py            # write them anew
    python docs/_ext/result_tables.py --check    # end with 1 if one is not what the records say

A table is meant that stands below one of these comments; JSON says of what it is.

- ``<!-- cells {"track": TRACK} -->``: defenses in rows, attacks in columns. "benign row" is the victim without a
  backdoor. A column may stand for a variant, ``"badnets": "badnets:size=5"``, or for another rate,
  ``"sig": ["sig", 0.1]``.
- ``<!-- stopped {"A": TRACK, ...} -->``: which defense stops which attack, by the rule of the leaderboard; a letter for
  each track. A column may stand for a variant here, too.

A track is ``[DATASET, POISON_RATE, RECIPE]``. Other columns are kept as they are, and so are the order and the names of
rows and columns.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measured

from benchkit.records.record import Record
from benchkit.report.cells import Cell, cells_of
from benchkit.report.tables.findings import findings, stops

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"<!-- (cells|stopped) (\{.*\}) -->\n\n((?:\|.*\n)+)")
BEGIN = re.compile(r"<!-- (?:cells|stopped)\b")
BENIGN = "benign row"
TAKEN, SEEN = 0.2, 0.9
"""ASR that a defense leaves at most, and AUROC that it has at least, where it takes or sees a trigger."""
SPREAD = 2
"""Seeds from which on a number has a standard deviation."""
Where = tuple[str, float, str]
"""A dataset, a poison rate and a recipe."""
Place = tuple[str, float | None, str, str, str]
"""Where, of benign rows, which are the same at every rate, without a rate; and an attack and a defense."""


@dataclass(frozen=True)
class Board:
    """The cells of the committed records by track, attack and defense."""

    cells: dict[Place, Cell]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Board:
        """Sort records into cells.

        Raises:
            ValueError: if two cells are of the same place: there is more than one model, or population.
        """
        found: dict[Place, Cell] = {}
        for cell in cells_of(records):
            if _place(cell) in found:
                raise ValueError(f"there are two cells of {_place(cell)}")
            found[_place(cell)] = cell
        return cls(found)

    def cell(self, where: Where, attack: str, defense: str) -> Cell | None:
        """Return one cell, if it was run."""
        dataset, rate, recipe = where
        poisoned = self.cells.get((dataset, rate, recipe, attack, defense))
        return poisoned or self.cells.get((dataset, None, recipe, attack, defense))

    def track(self, where: Where) -> list[Cell]:
        """Return the cells of a track, the benign ones included."""
        dataset, rate, recipe = where
        wanted = {(dataset, rate, recipe), (dataset, None, recipe)}
        return [cell for (*place, _, _), cell in self.cells.items() if tuple(place) in wanted]


def _place(cell: Cell) -> Place:
    axes = ("dataset", "poison_rate", "recipe", "attack", "defense")
    dataset, rate, recipe, attack, defense = (cell.axis(axis) for axis in axes)
    return str(dataset), None if cell.benign else float(rate or 0), str(recipe), str(attack), str(defense)


def written(text: str, board: Board) -> str:
    """Return a page with the numbers of its marked tables written anew.

    Raises:
        ValueError: if a mark is not as this module's head says, or no table stands below it.
    """
    if len(MARK.findall(text)) < len(BEGIN.findall(text)):
        raise ValueError("a mark is not whole, or no table stands one line below it")

    def table(found: re.Match[str]) -> str:
        kind, told, lines = found.groups()
        rows = [_split(line) for line in lines.splitlines()]
        asked: dict[str, Any] = json.loads(told)
        fill = KINDS[kind](asked, board)
        return f"<!-- {kind} {told} -->\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in _filled(rows, fill))

    return MARK.sub(table, text)


def _split(line: str) -> list[str]:
    return [part.strip() for part in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _filled(rows: list[list[str]], fill: Callable[[str, str], str | None]) -> Iterator[list[str]]:
    head, line, *body = rows
    yield from (head, ["---"] * len(line))
    for row in body:
        new = [fill(_name(row[0]), _name(column)) for column in head[1:]]
        yield [row[0], *(old if told is None else told for old, told in zip(row[1:], new, strict=True))]


def _name(text: str) -> str:
    return "none" if text == BENIGN else text.strip("`") if text.startswith("`") or text == "none" else ""


def _cells(asked: dict[str, Any], board: Board) -> Callable[[str, str], str | None]:
    dataset, usual, recipe = asked["track"]

    def fill(defense: str, column: str) -> str | None:
        if not column:
            return None
        said = asked.get(column, column)
        attack, rate = said if isinstance(said, list) else (said, usual)
        cell = board.cell((dataset, rate, recipe), attack, defense)
        return _text(cell) if cell and cell.ok else ""

    return fill


def _text(cell: Cell) -> str:
    """Return a cell as these pages write it; see their explanations."""
    if cell.kind == "model detector":
        return ", ".join(_values(cell, "score", scale=1, digits=2))
    if cell.kind == "input detector":
        return f"FPR {_spread(cell, 'fpr')}" if cell.benign else f"{_mean(cell, 'bdr_net')} / {_spread(cell, 'auroc')}"
    return _mean(cell, "c_acc") if cell.benign else f"{_mean(cell, 'c_acc')} / {_spread(cell, 'asr')}"


def _values(cell: Cell, name: str, scale: float = 100, digits: int = 1) -> list[str]:
    return [f"{scale * record.metrics[name]:.{digits}f}" for record in cell.ok]


def _mean(cell: Cell, name: str) -> str:
    found = cell.summary(name)
    return f"{100 * found.mean:.1f}" if found else ""


def _spread(cell: Cell, name: str) -> str:
    values = [100 * record.metrics[name] for record in cell.ok if name in record.metrics]
    return _mean(cell, name) + (f" ± {statistics.stdev(values):.1f}" if len(values) >= SPREAD else "")


def _stopped(asked: dict[str, Any], board: Board) -> Callable[[str, str], str | None]:
    tracks: dict[str, Where] = {name: tuple(said) for name, said in asked.items() if isinstance(said, list)}
    proven = {letter: set(findings(board.track(where)).proven) for letter, where in tracks.items()}

    def fill(defense: str, column: str) -> str | None:
        if not column:
            return None
        attack = asked.get(column, column)
        cells = {letter: board.cell(where, attack, defense) for letter, where in tracks.items()}
        return " ".join(filter(None, (_mark(letter, cell, attack in proven[letter]) for letter, cell in cells.items())))

    return fill


def _mark(letter: str, cell: Cell | None, proven: bool) -> str:
    if cell is None or not proven or not cell.ok:
        return ""
    return f"**{letter}**" if stops(cell) else f"({letter})" if _partly(cell) else ""


def _partly(cell: Cell) -> bool:
    """Return whether a defense takes a trigger at more cost than the rule allows, or sees more than it catches."""
    left, seen = cell.summary("asr"), cell.summary("auroc")
    if cell.kind == "input detector":
        return seen is not None and seen.mean >= SEEN
    return cell.kind != "model detector" and left is not None and left.mean <= TAKEN


KINDS = {"cells": _cells, "stopped": _stopped}


def main(arguments: Sequence[str]) -> int:
    """Write the tables of all pages anew, or only say which are not what the records say."""
    board = Board.of(measured.records(ROOT))
    stale = 0
    for page in sorted((ROOT / "docs" / "results").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = written(text, board)
        if new == text:
            continue
        stale += 1
        if "--check" in arguments:
            sys.stdout.write(f"{page.relative_to(ROOT)} is not what the records say: run {Path(__file__).name}\n")
        else:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {page.relative_to(ROOT)}\n")
    return int("--check" in arguments and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
