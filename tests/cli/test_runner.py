"""What makes the local runner pleasant: retries, silence, and remembering how long steps took."""

from __future__ import annotations

import json
from pathlib import Path

from fixture_types import Cli, Comparable, RecordsIn


def test_without_retries_a_step_whose_process_died_fails_its_cell(
    toy_run: Cli, tmp_path: Path, records_in: RecordsIn
) -> None:
    defense = f"brightest:mode=kill-once,flag={tmp_path / 'flag'}"
    assert toy_run("--attacks", "corner", "--defenses", defense, "--no-victims", "--retries", "0").code == 1
    (record,) = records_in(tmp_path / "results")
    assert "its process died (signal 9" in record["error"]


def test_quiet_says_nothing_but_what_was_asked_for(toy_run: Cli) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "brightest", "--no-victims", "--quiet")
    assert ran.code == 0
    assert len(ran.err.splitlines()) == 1
    assert "steps to run" in ran.err
    assert "| corner " in ran.out


def test_what_steps_took_is_remembered_and_changes_no_result(
    toy_run: Cli, records_in: RecordsIn, comparable: Comparable, tmp_path: Path
) -> None:
    asked = ("--attacks", "none,corner", "--defenses", "brightest,fine-tuning:epochs=1", "--jobs", "2")
    assert toy_run(*asked, results=tmp_path / "a").code == 0
    (path,) = (tmp_path / "a" / "artifacts" / "timings").iterdir()
    rows = json.loads(path.read_text())
    assert {"data", "poison", "train", "judge", "score", "cell"} == {kind[1] for kind, _ in rows}
    for name, text in (("b", json.dumps([[kind, 1e4 / (1 + 1e3 * seconds)] for kind, seconds in rows])), ("c", "{]")):
        there = tmp_path / name / "artifacts" / "timings" / path.name
        there.parent.mkdir(parents=True)
        there.write_text(text)
        assert toy_run(*asked, results=tmp_path / name).code == 0
        assert isinstance(json.loads(there.read_text()), list)
        made = [[comparable(one) for one in records_in(tmp_path / which)] for which in ("a", name)]
        assert made[0] == made[1]
