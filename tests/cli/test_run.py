"""benchkit run, plan, report: the whole way through, on a dataset that trains in a second."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import Cli, Comparable, RecordsIn
from once import once

from benchkit.store.store import Store

TOY = Path(__file__).parents[1] / "toy.py"
LONG = ("--dataset", "toy", "--recipe", "fast:epochs=8,batch=32", "-p", str(TOY))
Finished = tuple[Path, int, str, str]
MATRIX = ("--attacks", "none,corner", "--defenses", "brightest,fine-tuning,head-mean", "--device", "cpu")


@pytest.fixture(scope="session")
def finished(shared_folder: Path) -> Finished:
    """Return (results folder, exit code, stdout, stderr) of one finished run, in a process of its own.

    Nobody adds to it: several processes look at it.
    """

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "benchkit", "run", *MATRIX, *LONG, "--results", str(folder / "results")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        (folder / "ended.json").write_text(json.dumps([ran.returncode, ran.stdout, ran.stderr]))

    made = once(shared_folder / "run", make)
    code, out, err = json.loads((made / "ended.json").read_text())
    return made / "results", code, out, err


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    """Return a copy of that run's results folder, to be damaged."""
    return shutil.copytree(finished[0], tmp_path / "copy")


def test_a_run_prints_its_product_its_steps_and_the_matrix(finished: Finished) -> None:
    _, code, out, err = finished
    assert code == 0, err
    assert "2 attacks x 4 defenses x 1 dataset x 1 model x 1 seed = 8 cells, 0 done" in err
    assert "2 victims: 0 cached, 2 to train" in err
    assert "[1/" in err
    assert "| corner " in out
    assert "C-Acc / ASR" in out
    how_long = r"of computing in .* (?:s|min) by \d+ workers? x \d+ threads?"
    total = re.search(rf"^8 cells, (\d+) steps run: .* {how_long}, peak memory \d+ MiB$", err, re.MULTILINE)
    assert total
    assert f"{total[1]} steps to run" in err
    assert err.count("MiB") == 1
    assert "MiB" not in out


def test_records_say_what_was_measured_and_assumed(finished: Finished, records_in: RecordsIn) -> None:
    records = {(one["attack"], one["defense"]): one for one in records_in(finished[0])}
    assert len(records) == 8
    assert all(one["status"] == "ok" and one["error"] is None for one in records.values())
    base = records["corner", "none"]["metrics"]
    assert base["asr"] > 0.8
    assert base["c_acc"] > 0.8
    assert {"auroc", "bdr", "fpr", "acc", "tpr_at_1fpr", "tpr_at_5fpr", "c_acc_after", "asr_after"} <= set(
        records["corner", "brightest"]["metrics"]
    )
    assert records["corner", "brightest"]["metrics"]["auroc"] > 0.95
    assert "auroc" not in records["none", "brightest"]["metrics"]
    assert {"c_acc", "asr", "ra", "der"} <= set(records["corner", "fine-tuning"]["metrics"])
    assert {"score", "auroc", "fpr"} <= set(records["corner", "head-mean"]["metrics"])
    one = records["corner", "fine-tuning"]
    assert one["attack_info"]["label_policy"] == "dirty"
    assert one["defense_info"] | {"needs": ["model"], "clean": 0.05, "overlap": False} == one["defense_info"]
    assert one["costs"]["victim"]["seconds"] > 0
    assert one["metrics"]["seconds"] > 0
    assert one["metrics"]["peak_mb"] > 50
    assert one["versions"]["benchkit"]
    assert one["threads"] >= 1


def test_a_second_run_only_reads(finished: Finished, benchkit_cli: Cli) -> None:
    results = finished[0]
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    again = benchkit_cli("run", *MATRIX, *LONG, "--results", results)
    assert again.code == 0
    assert "8 done" in again.err
    assert "0 steps to run" in again.err
    assert "8 cells, 0 steps run, " in again.err
    assert again.out == finished[2]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_plan_counts_the_same_and_runs_nothing(benchkit_cli: Cli, tmp_path: Path) -> None:
    ran = benchkit_cli("plan", *MATRIX, "--dataset", "toy", "-p", TOY, "--results", tmp_path / "r")
    assert ran.code == 0
    assert "8 cells, 0 done; 2 victims: 0 cached, 2 to train" in ran.out
    assert "controls" in ran.out or "poisons data" in ran.out
    assert not (tmp_path / "r").exists()


def test_report_reads_what_run_wrote(finished: Finished, benchkit_cli: Cli) -> None:
    ran = benchkit_cli("report", "--results", finished[0], "--format", "json")
    rows = json.loads(ran.out)
    assert ran.code == 0
    assert {(row["attack"], row["defense"]) for row in rows} >= {("corner", "brightest"), ("none", "none")}
    cell = benchkit_cli("report", "--results", finished[0], "--cell", "corner", "brightest")
    assert "AUROC" in cell.out


def test_changing_a_threshold_retrains_nothing(finished: Finished, benchkit_cli: Cli) -> None:
    asked = ("--attacks", "corner", "--defenses", "brightest:threshold=fpr:0.01")
    ran = benchkit_cli("plan", *asked, *LONG, "--results", finished[0])
    assert "2 victims: 2 cached, 0 to train; 2 steps to run" in ran.out


def test_cache_lists_and_prunes_artifacts_but_not_records(copied: Path, benchkit_cli: Cli) -> None:
    listed = json.loads(benchkit_cli("cache", "ls", "--results", copied, "--json").out)
    assert {"data", "train", "judge", "poison"} <= {row["stage"] for row in listed}
    assert benchkit_cli("cache", "prune", "--results", copied, "--yes").code == 0
    assert json.loads(benchkit_cli("cache", "ls", "--results", copied, "--json").out) == []
    assert benchkit_cli("report", "--results", copied).code == 0


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_a_damaged_victim_is_noticed_and_made_again(
    finished: Finished,
    copied: Path,
    benchkit_cli: Cli,
    records_in: RecordsIn,
    comparable: Comparable,
    harm: str,
) -> None:
    for path in (copied / "results").rglob("fine-tuning/*.json"):
        path.unlink()
    for path in (copied / "artifacts" / "train").glob("*/tensors.safetensors"):
        path.write_bytes(path.read_bytes()[:1000]) if harm == "truncate" else path.unlink()
    ran = benchkit_cli("run", *MATRIX, *LONG, "--results", copied)
    assert ran.code == 0, ran.err
    assert "will be made again" in ran.err
    assert [comparable(one) for one in records_in(copied)] == [comparable(one) for one in records_in(finished[0])]


def test_observers_see_each_cell_and_cannot_break_a_run(
    toy_run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_OBSERVER", str(tmp_path / "log"))
    assert toy_run("--attacks", "corner", "--defenses", "brightest", "--no-victims").code == 0
    assert (tmp_path / "log").read_text() == "corner brightest ok\n"
    monkeypatch.setenv("TOY_OBSERVER", "raise")
    ran = toy_run("--attacks", "corner", "--defenses", "brightest:threshold=fpr:0.1", "--no-victims")
    assert ran.code == 0
    assert "RuntimeError: observer" in ran.err


@pytest.mark.parametrize(
    ("attack", "defense", "words"),
    [
        ("corner:mode=noop", "brightest", "changed no pixel"),
        ("corner:mode=float", "brightest", "must return uint8"),
        ("corner:mode=raise", "brightest", "ValueError: no stamp today"),
        ("corner", "brightest:mode=shape", "one number per image"),
        ("corner", "brightest:mode=nan", "returned nan"),
        ("corner", "brightest:mode=raise", "RuntimeError: the detector fell over"),
        ("corner", "brightest:mode=random", "draw only from scene.rng"),
        ("corner", "brightest:mode=model", "needs = frozenset({'model'})"),
        ("corner", "brightest:mode=exit", "exit code 3"),
    ],
)
def test_nonsense_from_a_plugin_fails_its_cell_and_nothing_else(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path, attack: str, defense: str, words: str
) -> None:
    processes = ("--jobs", 1) if defense.endswith("exit") else ()
    ran = toy_run("--attacks", f"none,{attack}", "--defenses", defense, "--no-victims", *processes)
    records = {one["attack"]: one for one in records_in(tmp_path / "results")}
    assert ran.code == 1
    assert words in records[attack]["error"]
    if "mode" in attack:
        assert "✗" in ran.out
        assert (records[attack]["status"], records["none"]["status"]) == ("failed", "ok")
    else:  # it fails where it scores clean images, a step that its cells share
        assert [record["status"] for record in records.values()] == ["skipped", "skipped"]


def test_a_filter_that_leaves_nothing_fails_its_cell(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    assert toy_run("--attacks", "corner", "--defenses", "drop-all", "--no-victims").code == 1
    (record,) = records_in(tmp_path / "results")
    assert "fewer than 2 classes remain" in record["error"]
    assert record["costs"]["cell"]["seconds"] >= 0
    assert record["costs"]["poison"]["peak_mb"] > 0


def test_a_cell_that_was_skipped_says_what_the_failed_step_cost(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    assert toy_run("--attacks", "corner:mode=raise", "--defenses", "none").code == 1
    (record,) = records_in(tmp_path / "results")
    assert record["status"] == "skipped"
    assert {"data", "poison"} <= set(record["costs"])
    assert record["costs"]["poison"]["peak_mb"] > 0
    assert "cell" not in record["costs"]


def test_failed_cells_are_tried_again(
    toy_run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records_in: RecordsIn
) -> None:
    flag = tmp_path / "flag"
    defense = f"brightest:mode=kill-once,flag={flag}"
    assert toy_run("--attacks", "corner", "--defenses", defense, "--no-victims", "--jobs", 1).code == 0
    assert flag.exists()
    assert records_in(tmp_path / "results")[0]["status"] == "ok"


def test_a_hanging_step_is_stopped(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "drop-all:after=600", "--no-victims", "--timeout", "5")
    (record,) = records_in(tmp_path / "results")
    assert ran.code == 1
    assert record["status"] == "timeout"
    assert "--timeout" in record["error"]


def test_the_same_seed_gives_the_same_records(
    toy_run: Cli, records_in: RecordsIn, comparable: Comparable, tmp_path: Path
) -> None:
    made = []
    for name in ("a", "b"):
        assert toy_run("--attacks", "corner", "--defenses", "fine-tuning:epochs=2", results=tmp_path / name).code == 0
        made.append([comparable(one) for one in records_in(tmp_path / name)])
    assert made[0] == made[1]
    assert Store(tmp_path / "a").results.is_dir()


def test_a_declined_prune_removes_nothing(finished: Finished) -> None:
    from click.testing import CliRunner

    from benchkit.cli.cache import cmd

    before = sorted((finished[0] / "artifacts").glob("*/*"))
    ran = CliRunner().invoke(cmd, ["prune", "--results", str(finished[0])], input="n\n")
    assert ran.exit_code == 0
    assert "removed 0 artifacts" in ran.output
    assert sorted((finished[0] / "artifacts").glob("*/*")) == before
