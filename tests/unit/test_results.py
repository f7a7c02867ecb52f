"""What Python is handed of records: a sequence that shows itself, and a tidy table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_records import MATRIX, drawn, record

import benchkit
from benchkit.errors import NothingToRun, SpecError, StoreError
from benchkit.records.record import parse
from benchkit.report.formats.results import Results


def results(*found: dict[str, Any]) -> Results:
    return Results(filter(None, map(parse, found)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder that holds ``MATRIX``."""
    for number, one in enumerate(MATRIX):
        path = tmp_path / "results" / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(one))
    return tmp_path


def test_the_matrix_is_the_one_that_report_prints() -> None:
    found = results(*reversed(MATRIX))
    assert found.to_markdown() == found._repr_markdown_() == drawn(MATRIX)
    assert "**ASR, dataset" in found.to_markdown("asr")
    assert "<table>" in found._repr_html_()
    assert "odd &lt;tag&gt;" in found._repr_html_()


def test_it_is_a_sequence_of_the_newest_records() -> None:
    old = record("none", "none", metrics={"c_acc": 0.1}, finished="2025-01-01T00:00:00Z")
    found = results(*MATRIX, old)
    assert len(found) == len(MATRIX)
    assert [one.metrics["c_acc"] for one in found if one.attack == one.defense == "none"] == [0.92]
    assert [one.seed for one in found[:3]] == [0, 1, 2]
    assert isinstance(found[:3], Results)
    assert {one.status for one in found.failed} == {"failed", "timeout", "skipped"}
    assert repr(found).startswith(f"<benchkit.Results: {len(MATRIX)} records, 4 failed; 3 attacks, 5 defenses, ")


def test_the_tidy_table_has_a_value_or_none_for_each_record() -> None:
    table = results(*MATRIX).to_dict()
    assert {len(values) for values in table.values()} == {len(MATRIX)}
    row = table["defense"].index("freq-detector")
    assert (table["attack"][row], table["auroc"][row], table["c_acc"][row]) == ("badnets:size=5", 0.987, None)


def test_none_at_all_are_shown_as_such() -> None:
    assert results()._repr_markdown_().startswith("<benchkit.Results: 0 records")
    assert results()._repr_html_().startswith("&lt;benchkit.Results")
    assert results().to_dict()["attack"] == []
    with pytest.raises(NothingToRun):
        results().to_markdown()
    with pytest.raises(SpecError, match="did you mean 'asr'"):
        results(*MATRIX).to_markdown("asrr")


def test_report_reads_a_folder_and_selects(folder: Path) -> None:
    assert len(benchkit.report(folder)) == len(MATRIX)
    chosen = benchkit.report(str(folder), attacks=["badnets:size=5", "sig"], defenses="strip,fine-pruning", seeds=[0])
    assert {(one.attack, one.defense) for one in chosen} == {
        (attack, defense) for attack in ("badnets:size=5", "sig") for defense in ("strip", "fine-pruning")
    }
    assert {one.seed for one in chosen} == {0}
    with pytest.raises(SpecError, match="no attack 'wanet' in these results"):
        benchkit.report(folder, attacks="wanet")
    with pytest.raises(StoreError, match="there is no results folder"):
        benchkit.report(folder / "nowhere")


def test_no_import_puts_the_package_in_the_place_of_the_function() -> None:
    code = (
        "import importlib, pkgutil, benchkit\n"
        "import benchkit.report.tables.matrix, benchkit.execute.run\n"
        "for name in ('report', 'run'): assert callable(getattr(benchkit, name)), name\n"
        "import sys; print([name for name in ('torch', 'numpy', 'click', 'rich') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr
