"""The scripts of benchmarks/experiments: run as people run them, at sizes that take seconds."""

from __future__ import annotations

import csv
import importlib
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import benchkit
from benchkit.frequency import log_power_slope, mean_spectrum

FOLDER = Path(__file__).parents[2] / "benchmarks" / "experiments"
TOY = Path(__file__).parents[1] / "toy.py"


class Ran(NamedTuple):
    """What a script did."""

    code: int
    out: str
    err: str


Script = Callable[..., Ran]
Load = Callable[[str], ModuleType]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Script:
    """Run one script, in ``tmp_path``, as ``python benchmarks/experiments/NAME.py ...`` does."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)

    def run(name: str, *args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(FOLDER / name), run_name="__main__")
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import one script as a module."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_input_size_tells_what_a_linear_detector_sees(script: Script, tmp_path: Path) -> None:
    asked = ("--sizes", "32,48", "--archs", "linear,cnn6", "--features", "dct-log,image", "--cnn-up-to", "16")
    ran = script("input_size.py", *asked, "--train", "150", "--test", "60")
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path / "input_size.csv")
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
        seen.append([float(row["auroc"]) for row in rows_of(tmp_path / name)])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_drawn_photographs_have_the_spectrum_of_photographs(load: Load) -> None:
    images = load("input_size").photographs(200, 32, torch.Generator().manual_seed(0))
    assert images.dtype == torch.uint8
    assert images.shape == (200, 3, 32, 32)
    # CIFAR-10: slope -2.5, mean of |X| 82 at (4, 4), 33 at (8, 8), 10.8 at (16, 16), 3.3 at (24, 24), 1.3 at (31, 31)
    assert -2.8 < log_power_slope(images) < -1.9
    spectrum = mean_spectrum(images)
    for at, known in ((4, 82), (8, 33), (16, 10.8), (24, 3.3), (31, 1.3)):
        assert known / 1.6 < spectrum[at, at] < known * 1.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder of two classes, bright and dark: 64 training and 24 test images of 16 pixels."""
    from PIL import Image

    rng = torch.Generator().manual_seed(0)
    root: Path = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 32), ("test", 12)):
        for label, level in (("bright", 150), ("dark", 40)):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = level + torch.randint(0, 60, (16, 16, 3), generator=rng)
                Image.fromarray(pixels.byte().numpy()).save(root / part / label / f"{number}.png")
    return root


def test_input_size_reads_a_folder_at_each_size(script: Script, folder: Path, tmp_path: Path) -> None:
    asked = ("--sizes", "16,24", "--archs", "linear", "--features", "image", "--train", 30, "--test", 10)
    assert script("input_size.py", *asked, "--images", folder).code == 0
    assert {row["size"] for row in rows_of(tmp_path / "input_size.csv")} == {"16", "24"}


HYPER = ("hyperplane.py", "--recipe", "fast:epochs=1,batch=16", "--rounds", 1)


def test_hyperplane_measures_each_trigger_in_both_detectors(script: Script, folder: Path, tmp_path: Path) -> None:
    ran = script(*HYPER, "--dataset", f"image-folder:root={folder},size=16")
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path / "hyperplane.csv")
    assert len(rows) == 2 * (3 + 7)
    for name in ("raw", "upgraded"):
        mine = {row["trigger"]: row for row in rows if row["detector"] == name}
        assert {row["space"] for row in mine.values()} == {"features"}
        assert float(mine["smooth"]["beyond_smooth"]) == 0
        assert float(mine["(clean images)"]["auroc"]) == 0.5
        rivals = {key: row for key, row in mine.items() if key.startswith("filtered")}
        assert len(rivals) == 7
        distances = [float(row["distance"]) for row in rivals.values()]
        assert len(set(distances)) == 7
        closest = float(mine["smooth"]["distance"]) < min(distances)
        assert f"{name} detector: smooth is {'' if closest else 'not '}closest" in ran.out


class Corner(benchkit.InputDetector):
    """A last layer whose input is two pixels, and whose clean class has the weights (3, 4)."""

    name = "corner-detector"

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        layer = nn.Linear(2, 2)
        layer.weight.data = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
        layer.bias.data.zero_()
        with torch.no_grad():
            answers = [layer(part[:, 0, 0, :2].float()) for part in images.split(2)]
        both = torch.cat(answers)
        return both[:, 1] - both[:, 0]


def pixels(*pairs: tuple[int, int]) -> Tensor:
    images = torch.zeros(len(pairs), 3, 2, 2, dtype=torch.uint8)
    images[:, 0, 0] = torch.tensor(pairs, dtype=torch.uint8)
    return images


@pytest.fixture
def nowhere() -> benchkit.Scene:
    split = benchkit.Split(pixels((0, 0)), torch.zeros(1, dtype=torch.int64))
    return benchkit.Scene(2, (3, 2, 2), torch.device("cpu"), split, torch.Generator())


def measured(load: Load, scene: benchkit.Scene, logits: bool) -> dict[str, dict[str, Any]]:
    # (3, 5) is the clean image whose features are nearest to (3, 4); stamped ones lie 5 and 10, or 13 and 13, away.
    stamped = {
        "(clean images)": pixels((0, 0), (3, 5), (90, 20)),
        "smooth": pixels((0, 1), (3, 15), (3, 5)),
        "filtered:variant=0": pixels((8, 17), (3, 18), (3, 5)),
    }
    rows = load("hyperplane").measured(Corner(), scene, stamped, logits)
    return {row["trigger"]: row for row in rows}


def test_distances_are_those_of_features_to_the_representative_image(load: Load, nowhere: benchkit.Scene) -> None:
    rows = measured(load, nowhere, logits=False)
    assert rows["smooth"]["distance"] == pytest.approx((5 + 10 + 0) / 3)
    filtered = rows["filtered:variant=0"]
    assert filtered["distance"] == pytest.approx((13 + 13 + 0) / 3)
    assert filtered["beyond_smooth"] == pytest.approx((8 + 3 + 0) / 3)
    # differences 8, 3, 0: their deviation is 4.0415
    assert filtered["error"] == pytest.approx(4.0415 / 3**0.5, abs=1e-4)


def test_distances_between_logits_start_at_the_mean_clean_one(load: Load, nowhere: benchkit.Scene) -> None:
    # Clean logits: (0, 0), (29, 5), (350, 20); their mean is (126.3, 8.3), nearest to (29, 5).
    rows = measured(load, nowhere, logits=True)
    wanted = [((4 - 29) ** 2 + (1 - 5) ** 2) ** 0.5, ((69 - 29) ** 2 + (15 - 5) ** 2) ** 0.5, 0]
    assert rows["smooth"]["distance"] == pytest.approx(sum(wanted) / 3)


def test_smooth_epochs_reads_what_benchkit_run_recorded(script: Script, tmp_path: Path) -> None:
    plugin = ("-p", TOY, "--dataset", "toy:count=120")
    asked = ("smooth_epochs.py", *plugin, "--recipe", "fast:batch=24", "--attacks", "filtered,corner")
    ran = script(*asked, "--epochs", "4,1")
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path / "smooth_epochs.csv")
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
def test_epochs_to_90(load: Load, asr: dict[int, float], wanted: int | str) -> None:
    assert load("smooth_epochs").first_learned(asr) == wanted


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
