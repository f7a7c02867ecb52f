from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from table_rows import markdown_rows

from benchkit.cli.report import cmd
from benchkit.errors import BenchkitError


def record(attack: str, defense: str, kind: str, **metrics: float) -> dict[str, Any]:
    return {
        "schema": 1, "key": "0" * 64, "dataset": "scenes", "model": "narrownet", "recipe": "fast",
        "attack": attack, "defense": defense, "seed": 0, "poison_rate": 0.1, "status": "ok", "error": None,
        "metrics": metrics, "warnings": [], "attack_info": {"benign": False}, "defense_info": {"kind": kind},
        "costs": {"cell": {"seconds": 2.0, "peak_mb": 64}}, "versions": {"benchkit": "0.1.0"},
        "device": "cpu", "threads": 1, "finished": "2026-11-20T22:10:00Z",
    }  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "results").mkdir(parents=True)
    found = [
        record("badnets", "none", "baseline", c_acc=0.9, asr=1.0),
        record("badnets", "strip", "input detector", auroc=0.75, bdr_net=0.5),
        record("wanet", "none", "baseline", c_acc=0.9, asr=0.8),
    ]
    for index, one in enumerate(found):
        (folder / f"results/{index}.json").write_text(json.dumps(one))
    return folder


def call(*args: object) -> Result:
    return CliRunner().invoke(cmd, [str(arg) for arg in args], catch_exceptions=True)


def fails(*args: object) -> BenchkitError:
    error = call(*args).exception
    assert isinstance(error, BenchkitError), error
    assert "\n" not in str(error)
    return error


def test_outside_a_terminal_the_table_is_markdown(results: Path) -> None:
    done = call("--results", results)
    assert (done.exit_code, done.stderr) == (0, "")
    assert markdown_rows(done.stdout) == [
        ["attack", "none (C-Acc / ASR)", "strip (BDR - control / AUROC)"],
        ["badnets", "90.0 / 100.0", "50.0 / 75.0"],
        ["wanet", "90.0 / 80.0", "·"],
    ]
    assert call("--results", results, "--format", "markdown").stdout == done.stdout


def test_the_default_folder_is_benchkit_results(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.rename(tmp_path / "benchkit-results")
    monkeypatch.chdir(tmp_path)
    assert "badnets" in call().stdout


@pytest.mark.parametrize("form", ["latex", "csv", "json", "html", "html-table"])
def test_each_format_can_go_to_a_file(results: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "table"
    out.write_text("old")
    done = call("--results", results, "--format", form, "--out", out)
    assert (done.exit_code, done.stdout) == (0, "")
    assert out.read_text() == call("--results", results, "--format", form).stdout
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_metric_by_its_title_and_its_name(results: Path) -> None:
    by_name = call("--results", results, "--metric", "c_acc").stdout
    assert by_name == call("--results", results, "--metric", "C-Acc").stdout
    assert markdown_rows(by_name)[1] == ["badnets", "90.0"]


def test_an_unknown_metric_is_met_with_the_known_ones(results: Path) -> None:
    error = fails("--results", results, "--metric", "aurocc")
    assert error.exit_code == 2
    assert "there is no metric 'aurocc' (did you mean 'auroc'?); there are c_acc, asr," in str(error)


def test_axes_fill_each_other_in(results: Path) -> None:
    assert markdown_rows(call("--results", results, "--rows", "defense").stdout)[0] == ["defense", "badnets", "wanet"]
    assert markdown_rows(call("--results", results, "--cols", "attack").stdout)[0] == ["defense", "badnets", "wanet"]
    assert markdown_rows(call("--results", results, "--cols", "dataset").stdout)[0] == ["attack", "scenes"]
    assert fails("--results", results, "--rows", "model", "--cols", "model").exit_code == 2


def test_one_cell_in_full(results: Path) -> None:
    text = call("--results", results, "--cell", "badnets", "strip").stdout
    assert ["AUROC (%)", "75.0", "", "1"] in [row[:4] for row in markdown_rows(text)]
    assert "wanet" not in text
    told = json.loads(call("--results", results, "--cell", "badnets", "strip", "--format", "json").stdout)
    assert [cell["defense"] for cell in told] == ["strip"]


def test_the_page_holds_the_matrix_or_one_cell_of_it(results: Path) -> None:
    page = call("--results", results, "--format", "html", "--metric", "C-Acc").stdout
    assert page.startswith("<!doctype html>")
    assert '"metric":"c_acc"' in page
    assert page.count('"attack":"') == 3
    one = call("--results", results, "--format", "html", "--cell", "badnets", "strip").stdout
    assert one.count('"attack":"') == 1


@pytest.mark.parametrize("more", [("--rows", "model"), ("--cols", "dataset"), ("--against", "doe.csv")])
def test_the_page_has_its_own_rows_and_columns(results: Path, more: tuple[str, str]) -> None:
    error = fails("--results", results, "--format", "html", *more)
    assert error.exit_code == 2
    assert "use html-table" in str(error)


def test_a_cell_that_is_not_there(results: Path) -> None:
    error = fails("--results", results, "--cell", "badnet", "strip")
    assert error.exit_code == 2
    assert "no attack 'badnet' in these results (did you mean 'badnets'?)" in str(error)
    assert "no defense 'stripe'" in str(fails("--results", results, "--cell", "badnets", "stripe"))
    assert fails("--results", results, "--cell", "wanet", "strip").exit_code == 3


def test_nothing_to_report(tmp_path: Path) -> None:
    empty = fails("--results", tmp_path)
    assert empty.exit_code == 3
    assert "holds no results: fill it with benchkit run" in str(empty)
    assert fails("--results", tmp_path / "nowhere").exit_code == 2


def test_foreign_files_are_told_on_stderr(results: Path) -> None:
    (results / "results/other.json").write_text("[]")
    done = call("--results", results)
    assert done.stderr == "warning: ignored 1 file that is not a benchkit record of schema 1: results/other.json\n"
    assert "other.json" not in done.stdout


@pytest.mark.parametrize("where", ["no/such/folder/table.md", "made", "made/results/0.json/table.md"])
def test_a_file_that_cannot_be_written(results: Path, tmp_path: Path, where: str) -> None:
    error = fails("--results", results, "--out", tmp_path / where)
    assert error.exit_code == 2
    assert str(error).startswith(f"cannot write {tmp_path / where}")


PUBLISHED = "source,attack,defense,dataset,metric,value\nDoe,badnets,strip,cifar10,auroc,0.8\nDoe,sig,none,svhn,asr,1\n"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "doe.csv"
    path.write_text(PUBLISHED)
    return path


def test_ours_beside_what_was_published(results: Path, published: Path) -> None:
    done = call("--results", results, "--against", published, "--as", "cifar10")
    assert (done.exit_code, done.stderr) == (0, "")
    assert markdown_rows(done.stdout) == [["attack", "strip (AUROC)"], ["badnets", "75.0 / 80 / -5.0"]]
    assert "- Doe: 1 of its 2 numbers compared with ours" in done.stdout
    assert "- scenes counts as cifar10" in done.stdout


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json", "html-table"])
def test_the_comparison_in_each_format(results: Path, published: Path, tmp_path: Path, form: str) -> None:
    asked = ("--results", results, "--against", published, "--as", "cifar10", "--metric", "AUROC", "--format", form)
    text = call(*asked).stdout
    assert "badnets" in text
    assert "sig" not in text
    assert call(*asked, "--out", tmp_path / "table").stdout == ""
    assert (tmp_path / "table").read_text() == text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--against", "absent.csv"], "there is no file absent.csv of published numbers"),
        (["--against", "."], ". cannot be read: Is a directory"),
        (["--against", "made/results/0.json"], "made/results/0.json is not a file of published numbers, it lacks"),
        (["--against", "doe.csv", "--as", "cifar"], "did you mean 'cifar10'?"),
        (["--against", "doe.csv", "--metric", "ra"], "there is no published ra; there are auroc, asr"),
        (["--against", "doe.csv", "--metric", "aurocc"], "there is no metric 'aurocc'"),
        (["--against", "doe.csv", "--rows", "model"], "leave out --rows"),
        (["--against", "doe.csv", "--cell", "badnets", "strip"], "--cell"),
        (["--as", "cifar10"], "name their file with --against"),
        (["--cell", "badnets", "strip", "--metric", "asr"], "leave out --metric"),
        (["--cell", "badnets", "strip", "--rows", "model", "--cols", "attack"], "leave out --rows and --cols"),
        (["--cell", "badnets", "strip", "--format", "csv", "--metric", "auroc"], "--cell shows all metrics"),
    ],
)
def test_a_comparison_that_cannot_be(
    benchkit_cli: Any, results: Path, published: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    monkeypatch.chdir(published.parent)
    ran = benchkit_cli("report", "--results", results, *args)
    assert ran.code == 2
    assert ran.out == ""
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_comparison_with_nothing_in_common(benchkit_cli: Any, results: Path, published: Path) -> None:
    ran = benchkit_cli("report", "--results", results, "--against", published)
    assert ran.code == 3
    assert "the numbers are of dataset cifar10, svhn, ours of scenes; --as NAME" in ran.err


def test_a_part_of_the_records_keeps_what_is_said_of_its_rows(results: Path) -> None:
    faint = record("faint", "none", "baseline", c_acc=0.9, asr=0.1)
    seen = record("faint", "strip", "input detector", auroc=0.99, bdr_net=0.9)
    for name, one in (("a", faint), ("b", seen)):
        (results / f"results/{name}.json").write_text(json.dumps(one))
    shown = call("--results", results, "--attacks", "faint", "--defenses", "strip").output
    assert "badnets" not in shown
    assert "the attack did not implant" in shown
    assert "wanet" in call("--results", results, "--attacks", "all,-badnets").output
    assert "no attack 'blend' in these results" in str(fails("--results", results, "--attacks", "blend"))
    assert "no seed 3" in str(fails("--results", results, "--seeds", "3,"))
    both = ("--compare", results, results, "--attacks", "wanet")
    assert "leave out --attacks" in str(fails(*both))
