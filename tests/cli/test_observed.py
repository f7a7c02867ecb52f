"""What an observer is told of a cell is what the cell's file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn

OBSERVER = """
import json, os
from pathlib import Path
import benchkit

@benchkit.hookimpl
def benchkit_cell_finished(record):
    assert type(record) is dict
    folder = Path(os.environ["OBSERVED"])
    (folder / f"{record['attack']}.json").write_text(json.dumps(record))
"""


def test_observers_are_told_what_the_files_of_measured_failed_and_skipped_cells_hold(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "watching.py").write_text(OBSERVER)
    (tmp_path / "told").mkdir()
    monkeypatch.setenv("OBSERVED", str(tmp_path / "told"))
    attacks = "none,corner,corner:mode=float,corner:mode=raise"
    ran = toy_run("--attacks", attacks, "--defenses", "brightest", "--no-victims", "-p", tmp_path / "watching.py")
    assert (ran.code, "warning" in ran.err) == (1, False), ran.err
    records = {one["attack"]: one for one in records_in(tmp_path / "results")}
    told = {one["attack"]: one for one in map(json.loads, (path.read_text() for path in (tmp_path / "told").iterdir()))}
    assert told == records
    assert {one["status"] for one in told.values()} >= {"ok", "failed"}
