"""What a table, a page and a record say of a cutoff for outliers among classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn

TOLD = "its cutoff flags 21 % of clean 4-class models by chance alone"


def test_tables_pages_and_records_say_how_often_a_cutoff_is_wrong_by_chance(
    toy_run: Cli, benchkit_cli: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    ran = toy_run("--attacks", "none", "--defenses", "neural-cleanse:rounds=1,clean=0.5")
    assert ran.code == 0, ran.err
    assert TOLD in " ".join(ran.out.split())
    (info,) = [one["defense_info"] for one in records_in(tmp_path / "results") if one["defense"] != "none"]
    assert info["classes"] == 4
    assert info["false_alarms_by_chance"] == pytest.approx(0.2085, abs=0.01)
    page = tmp_path / "page.html"
    assert benchkit_cli("report", "--results", tmp_path / "results", "--format", "html", "--out", page).code == 0
    assert TOLD in page.read_text()


def test_a_cutoff_that_is_none_is_refused_before_anything_runs(toy_run: Cli, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "none", "--defenses", "neural-cleanse:cutoff=null:2")
    assert ran.code == 2
    assert "cutoff must be an index above 0" in ran.err
    assert not list((tmp_path / "results").rglob("seed*.json"))
