"""Runs of an attack with covers: what records, filters and tables say of rows that are changed under a true label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import TESTS

Cell = Callable[[str, str], dict[str, Any]]
ROWS = 304
"""Training images of a victim: 95 % of the toy dataset's 320."""
POISONS, COVERS = 30, 15
ATTACK = "coverer:cover_rate=0.05"
FILTERS = {name: f"picker:drop={name}" for name in ("covers", "half")} | {"poisons": "picker"}
COVERER = ("-p", TESTS / "coverer.py")


def test_records_and_filters_tell_covers_from_poisons(toy_run: Any, cell: Cell) -> None:
    ran = toy_run("--attacks", ATTACK, "--defenses", ",".join(["none", *FILTERS.values()]), *COVERER)
    assert ran.code == 0, ran.err
    for defense in ("none", *FILTERS.values()):
        found = cell(ATTACK, defense)["metrics"]
        assert (found["poisoned"], found["covered"]) == (POISONS / ROWS, COVERS / ROWS)
    names = ("precision", "recall", "cover_recall", "fpr")
    rates = {name: tuple(cell(ATTACK, spec)["metrics"][one] for one in names) for name, spec in FILTERS.items()}
    assert rates["poisons"] == (1.0, 1.0, 0.0, 0.0)
    assert rates["covers"] == (0.0, 0.0, 1.0, 0.0)
    clean = ROWS - POISONS - COVERS
    precision, *shares = rates["half"]
    poisons, covers, others = (share * count for share, count in zip(shares, (POISONS, COVERS, clean), strict=True))
    assert poisons + covers + others == pytest.approx(ROWS / 2)
    assert precision == pytest.approx(poisons / (poisons + others))
    assert f"- {ATTACK}: 4.9 % of the training set are covers: changed images that keep their true label" in ran.out
    assert cell(ATTACK, "none")["attack_info"]["cover_rate"] == 0.05


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        ("coverer:mode=relabelled", "changed the labels of 3 covers: a cover keeps its true label"),
        ("coverer:mode=poisons", "names 30 rows as poisons and as covers: draw covers with benchkit.cover_rows"),
        ("coverer:mode=none", "a cover of none of 304 images at a cover rate of 0.01: raise cover_rate"),
        ("coverer:cover_rate=0.003", "a cover of none of 304 images at a cover rate of 0.003: raise cover_rate"),
        ("undeclared", "made 30 covers at a cover rate of 0: derive it from benchkit.CoverImages"),
    ],
)
def test_covers_that_break_their_contract_fail_the_cell(attack: str, sentence: str, toy_run: Any, cell: Cell) -> None:
    ran = toy_run("--attacks", attack, "--defenses", "none", *COVERER)
    assert ran.code == 1
    assert sentence in cell(attack, "none")["error"]
    assert "Traceback" not in ran.err


def test_without_covers_it_is_the_attack_without_covers(toy_run: Any, cell: Cell) -> None:
    attack = "coverer:cover_rate=0.0"
    ran = toy_run("--attacks", f"corner,{attack}", "--defenses", "none,picker", *COVERER)
    assert ran.code == 0, ran.err
    for defense in ("none", "picker"):
        one, other = (cell(name, defense)["metrics"] for name in ("corner", attack))
        assert not one.keys() & {"covered", "cover_recall"}
        cost = {"seconds", "peak_mb"}
        assert {name: one[name] for name in one.keys() - cost} == {name: other[name] for name in other.keys() - cost}
        assert "cover_rate" not in cell(attack, defense)["attack_info"]
    assert "covers" not in ran.out


def test_models_of_a_population_are_poisoned_with_covers_too(toy_run: Any, cell: Cell) -> None:
    attack = "coverer:mode=relabelled"
    toy_run("--attacks", attack, "--defenses", "head-mean", "--population", "2", *COVERER)
    assert "changed the labels of 3 covers" in cell(attack, "head-mean")["error"]


def test_a_change_of_the_cover_rate_crafts_nothing_again(toy_run: Any, tmp_path: Path) -> None:
    asked = ",".join(f"coverer:target=-1,cover_rate={rate}" for rate in (0.05, 0.1))
    ran = toy_run("--attacks", asked, "--defenses", "none", *COVERER)
    assert ran.code == 0, ran.err
    made = {name: len(list((tmp_path / "results" / "artifacts" / name).iterdir())) for name in ("craft", "poison")}
    assert made == {"craft": 1, "poison": 3}, "one poisoned set is that of the benign victim"
