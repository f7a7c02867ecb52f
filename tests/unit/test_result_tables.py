"""docs/_ext/result_tables.py: published tables are what the committed records say."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from report_records import record

from benchkit.records.record import Record, parse

DOCS = Path(__file__).parents[2] / "docs"
KINDS = {"strip": "input detector", "pruned": "model repair", "looks": "model detector", "none": "baseline"}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("result_tables")


def told(attack: str, defense: str, seed: int, **metrics: float) -> Record:
    """Return a record of one cell under one seed."""
    found: Any = record(attack, defense, seed, metrics=metrics)
    found["defense_info"] |= {"kind": KINDS[defense]}
    made = parse(found)
    assert made
    return made


def seeds(attack: str, defense: str, **metrics: tuple[float, ...]) -> list[Record]:
    """Return the records of one cell, one for each value."""
    values = zip(*metrics.values(), strict=True)
    return [told(attack, defense, seed, **dict(zip(metrics, one, strict=True))) for seed, one in enumerate(values)]


RECORDS = [
    *seeds("none", "none", c_acc=(0.95, 0.96)),
    *seeds("none", "strip", fpr=(0.05, 0.07)),
    *seeds("none", "pruned", c_acc=(0.94, 0.95)),
    *seeds("badnets", "none", c_acc=(0.94, 0.94), asr=(0.9, 1.0)),
    *seeds("badnets", "strip", bdr=(0.95, 0.95), fpr_control=(0.05, 0.05), bdr_net=(0.9, 0.9), auroc=(0.98, 0.96)),
    *seeds("badnets", "pruned", c_acc=(0.94, 0.94), asr=(0.1, 0.0)),
    *seeds("badnets", "looks", score=(2.5, 1.25)),
    *seeds("blend", "none", c_acc=(0.94,), asr=(0.9,)),
    *seeds("blend", "pruned", c_acc=(0.8,), asr=(0.1,)),
    replace(told("none", "pruned", 0, c_acc=0.5), recipe="standard"),
]
CELLS = """
<!-- cells {"track": ["scenes", 0.1, "fast"], "faint": "blend"} -->

| defense | benign row | `badnets` | `faint` | `wanet` | remark |
|---|---|---|---|---|---|
| none | 1 | 2 | | | as it is |
| `strip` | | | | old | none |
| `pruned` | | | | | |
| `looks` | | | | | 5 % |
"""
WRITTEN = """
<!-- cells {"track": ["scenes", 0.1, "fast"], "faint": "blend"} -->

| defense | benign row | `badnets` | `faint` | `wanet` | remark |
| --- | --- | --- | --- | --- | --- |
| none | 95.5 | 94.0 / 95.0 ± 7.1 | 94.0 / 90.0 |  | as it is |
| `strip` | FPR 6.0 ± 1.4 | 90.0 / 97.0 ± 1.4 |  |  | none |
| `pruned` | 94.5 | 94.0 / 5.0 ± 7.1 | 80.0 / 10.0 |  |  |
| `looks` |  | 2.50, 1.25 |  |  | 5 % |
"""
STOPPED = """
<!-- stopped {"S": ["scenes", 0.1, "fast"], "s": ["scenes", 0.01, "fast"], "faint": "blend"} -->

| defense | `badnets` | `faint` | where |
| --- | --- | --- | --- |
| `strip` | **S** |  | S |
| `pruned` | **S** | (S) |  |
| `looks` |  |  |  |
"""


def test_the_committed_pages_are_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # benchkit sets it for processes; a shell has none
    command = [sys.executable, str(DOCS / "_ext" / "result_tables.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_table_is_made_of_records_and_keeps_its_remarks(tables: ModuleType) -> None:
    board = tables.Board.of(RECORDS)
    assert tables.written(f"a\n{CELLS}b\n", board) == f"a\n{WRITTEN}b\n"
    assert tables.written(WRITTEN, board) == WRITTEN


def test_a_letter_says_where_a_defense_stops_an_attack(tables: ModuleType) -> None:
    bare = STOPPED.replace("**S**", "").replace("(S)", "x")
    assert tables.written(bare, tables.Board.of(RECORDS)) == STOPPED


def test_text_without_a_mark_is_left_alone(tables: ModuleType) -> None:
    text = CELLS.split("-->")[1]
    assert tables.written(text, tables.Board.of(RECORDS)) == text


@pytest.mark.parametrize(
    "broken",
    [CELLS.replace(" -->\n", " -->"), CELLS.replace("{", ""), CELLS.partition("| defense")[0]],
    ids=["no blank line", "no JSON", "no table"],
)
def test_a_mark_that_means_no_table_is_refused(broken: str, tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="a mark is not whole"):
        tables.written(broken, tables.Board.of(RECORDS))


def test_two_cells_of_one_place_are_refused(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="two cells"):
        tables.Board.of([*RECORDS, replace(told("none", "pruned", 0, c_acc=0.5), model="other")])
