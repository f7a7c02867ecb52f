"""The scripts of benchmarks/experiments: run as people run them, at sizes that take seconds."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from table_rows import csv_rows

from benchkit.ops.frequency import log_power_slope, mean_spectrum

TOY = Path(__file__).parents[1] / "toy.py"
Script = Callable[..., Any]
Load = Callable[[str], ModuleType]


def test_input_size_tells_what_a_linear_detector_sees(script: Script, tmp_path: Path) -> None:
    asked = ("--sizes", "32,48", "--archs", "linear,cnn6", "--features", "dct-log,image", "--cnn-up-to", "16")
    ran = script("input_size.py", *asked, "--train", "150", "--test", "60")
    assert ran.code == 0, ran.err
    rows = csv_rows(tmp_path / "input_size.csv")
    cases = {(row["size"], row["arch"], row["feature"], row["attack"]) for row in rows}
    assert len(cases) == len(rows) == 2 * 1 * 2 * 6
    assert {row["arch"] for row in rows} == {"linear"}
    assert {(row["size"], row["features"]) for row in rows} == {("32", "3072"), ("48", "6912")}
    auroc = {(row["size"], row["feature"], row["attack"]): float(row["auroc"]) for row in rows}
    for size in ("32", "48"):
        assert auroc[size, "dct-log", "troj-sq, random"] > 0.95
        assert auroc[size, "image", "troj-sq, random"] < 0.8
    square = next(row for row in rows if row["feature"] == "dct-log" and row["attack"] == "troj-sq, random")
    assert float(square["bdr_at_5fpr"]) > 0.8
    assert float(square["seconds"]) > 0


def test_input_size_repeats_itself_and_heeds_its_seed(script: Script, tmp_path: Path) -> None:
    asked = ("input_size.py", "--sizes", 16, "--archs", "svm", "--features", "dct", "--train", 40, "--test", 20)
    seen = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert script(*asked, "--seed", seed, "--out", tmp_path / name).code == 0
        seen.append([float(row["auroc"]) for row in csv_rows(tmp_path / name)])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_drawn_photographs_have_the_spectrum_of_photographs(load_experiment: Load) -> None:
    images = load_experiment("input_size").photographs(200, 32, torch.Generator().manual_seed(0))
    assert images.dtype == torch.uint8
    assert images.shape == (200, 3, 32, 32)
    # CIFAR-10: slope -2.5, mean of |X| 82 at (4, 4), 33 at (8, 8), 10.8 at (16, 16), 3.3 at (24, 24), 1.3 at (31, 31)
    assert -2.8 < log_power_slope(images) < -1.9
    spectrum = mean_spectrum(images)
    for at, known in ((4, 82), (8, 33), (16, 10.8), (24, 3.3), (31, 1.3)):
        assert known / 1.6 < spectrum[at, at] < known * 1.6


def test_input_size_reads_a_folder_at_each_size(script: Script, two_tints: Path, tmp_path: Path) -> None:
    asked = ("--sizes", "16,24", "--archs", "linear", "--features", "image", "--train", 30, "--test", 10)
    assert script("input_size.py", *asked, "--images", two_tints).code == 0
    assert {row["size"] for row in csv_rows(tmp_path / "input_size.csv")} == {"16", "24"}


def test_smooth_epochs_reads_what_benchkit_run_recorded(script: Script, tmp_path: Path) -> None:
    plugin = ("-p", TOY, "--dataset", "toy:count=120")
    asked = ("smooth_epochs.py", *plugin, "--recipe", "fast:batch=24", "--attacks", "filtered,corner")
    ran = script(*asked, "--epochs", "4,1")
    assert ran.code == 0, ran.err
    rows = csv_rows(tmp_path / "smooth_epochs.csv")
    assert [(row["attack"], row["epochs"]) for row in rows] == [
        ("filtered", "1"), ("filtered", "4"), ("corner", "1"), ("corner", "4"),
    ]  # fmt: skip
    paths = list((tmp_path / "smooth_epochs-results" / "results").rglob("*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    assert len(records) == 4
    for record in records:
        epochs = "1" if "epochs=1" in record["recipe"] else "4"
        mine = next(row for row in rows if (row["attack"], row["epochs"]) == (record["attack"], epochs))
        for name in ("asr", "c_acc", "asr_clean_model"):
            assert float(mine[name]) == pytest.approx(record["metrics"][name], abs=1e-5)
    accuracy = {row["epochs"]: float(row["c_acc"]) for row in rows if row["attack"] == "corner"}
    assert accuracy["4"] > max(0.6, accuracy["1"])

    before = {path: path.stat().st_mtime_ns for path in paths}
    assert script(*asked, "--epochs", "4,1", "--out", "again.csv").code == 0
    assert {path: path.stat().st_mtime_ns for path in paths} == before
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "smooth_epochs.csv").read_text()


@pytest.mark.parametrize(
    ("asr", "wanted"),
    [({1: 0.2, 2: 0.9, 3: 0.8, 5: 0.99}, 2), ({1: 0.95, 12: 1.0}, 1), ({1: 0.1, 12: 0.8999}, "")],
)
def test_epochs_to_90(load_experiment: Load, asr: dict[int, float], wanted: int | str) -> None:
    assert load_experiment("smooth_epochs").first_learned(asr) == wanted


@pytest.mark.parametrize(
    ("name", "args", "part"),
    [
        ("input_size.py", ("--sizes", "32,big"), "'32,big' is not a list of whole numbers"),
        ("input_size.py", ("--sizes", "8"), "16 pixels or more"),
        ("input_size.py", ("--archs", "tree"), "'tree' is not a list of words out of linear, svm, cnn6"),
        ("input_size.py", ("--images", "nowhere"), "there is no folder nowhere"),
        ("input_size.py", ("--out", "no/where.csv"), "there is no folder no to write where.csv to"),
        ("input_size.py", ("--train", "1"), "'--train'"),
        ("hyperplane.py", ("--dataset", "scenez"), "did you mean 'scenes'"),
        ("hyperplane.py", ("--recipe", "slow"), "there is no recipe called 'slow'"),
        ("hyperplane.py", ("--colour",), "No such option"),
        ("smooth_epochs.py", ("--attacks", "smoothy"), "did you mean 'smooth'"),
        ("smooth_epochs.py", ("--recipe", "fast:epochs=3"), "without epochs"),
        ("smooth_epochs.py", ("--poison-rate", "0.1,0.2"), "one number"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(script: Script, name: str, args: tuple[str, ...], part: str) -> None:
    ran = script(name, *args)
    assert ran.code == 2
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert part in last
    assert "Traceback" not in ran.err


def test_a_plot_without_matplotlib_is_refused_before_anything_is_computed(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else real(name))
    ran = script("hyperplane.py", "--plot")
    assert ran.code == 2
    assert ran.err == "error: --plot needs matplotlib: pip install 'benchkit[plot]', or leave --plot out\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_plots_lie_beside_the_csv(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    asked = ("--sizes", 16, "--archs", "linear", "--features", "dct", "--train", 20, "--test", 10)
    assert script("input_size.py", *asked, "--plot", "--out", tmp_path / "sizes.csv").code == 0
    assert (tmp_path / "sizes.png").read_bytes().startswith(b"\x89PNG")
