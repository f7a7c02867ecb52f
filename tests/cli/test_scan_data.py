"""benchkit scan data, through the real entry point: the rows that training filters name, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli, Ran
from PIL import Image

TOY = Path(__file__).parents[1] / "toy.py"
PLUGIN = '''
from dataclasses import dataclass
import torch
import benchkit


@dataclass(frozen=True)
class Bright(benchkit.TrainingFilter):
    """Drops images with a bright corner; it needs no model."""

    name = "bright"
    level: float = benchkit.param(200.0, "brightness of the corner that is dropped")

    def suspicion(self, train, scene):
        if self.level < 0:
            raise RuntimeError("fell over")
        return train.images[..., -3:, -3:].float().mean((1, 2, 3)) - self.level


@dataclass(frozen=True)
class Foreign(benchkit.CleanImages, benchkit.TrainingFilter):
    """Drops what is brighter than every clean image."""

    name = "foreign"
    clean: float = benchkit.param(1.0, "clean images", gt=0, le=1)
    labelled = False

    def prepare(self, scene):
        return {"most": scene.clean.images.float().mean((1, 2, 3)).max()[None]}

    def suspicion(self, train, scene):
        return train.images.float().mean((1, 2, 3)) - scene.prepared["most"]


@dataclass(frozen=True)
class Learned(benchkit.TrainingFilter):
    """Drops images of class b that have the colour of class a, if the model has learned their label all the same."""

    name = "learned"
    needs = frozenset({"model"})

    def suspicion(self, train, scene):
        own = scene.model.logits(train.images).softmax(1).gather(1, train.labels[:, None]).squeeze(1)
        level = train.images.float().mean((2, 3))
        return own.where((level[:, 2] > level[:, 0]) & (train.labels == 1), 0.0) - 0.5


@dataclass(frozen=True)
class Named(benchkit.CleanImages, benchkit.TrainingFilter):
    """Needs labels of its clean images."""

    name = "named"

    def suspicion(self, train, scene):
        return torch.zeros(len(train)) - scene.clean.labels.float().mean()


@benchkit.hookimpl
def benchkit_defenses():
    return [Bright, Foreign, Learned, Named]
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twenty tinted images; in class b, three with a bright corner, and three that are of class a."""
    rng = torch.Generator().manual_seed(0)
    root = tmp_path / "set"
    for label, name in enumerate("ab"):
        (root / name / "more").mkdir(parents=True)
        for number in range(20):
            pixels = torch.randint(0, 60, (12, 12, 3), generator=rng, dtype=torch.uint8)
            pixels[..., 0 if label and number < 17 else 2] += 120
            if label and number < 3:
                pixels[-3:, -3:] = 230 + number
            Image.fromarray(pixels.numpy()).save(root / name / ("more" if number % 2 else "") / f"{number:02}.png")
    return root


@pytest.fixture
def scan_data(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Return a function that scans a training set with the filters above; bright by default."""
    plugin = tmp_path / "filters_plugin.py"
    plugin.write_text(PLUGIN)

    def run(path: Path, *args: object, defense: str = "bright") -> Ran:
        fixed = ["--defense", defense, "--device", "cpu", "--jobs", 1, "--results", tmp_path / "r"]
        return benchkit_cli("scan", "data", path, *fixed, "-p", TOY, "-p", plugin, *args)

    return run


def test_the_rows_that_a_filter_drops_come_first_with_their_files(scan_data: Cli, folder: Path) -> None:
    ran = scan_data(folder, "--top", "4")
    assert ran.code == 1, ran.err
    assert [line.split() for line in ran.out.splitlines()[2:]] == [
        ["b/02.png", "b", "1", "of", "1", "98.8"],
        ["b/more/01.png", "b", "1", "of", "1", "96.2"],
        ["b/00.png", "b", "1", "of", "1", "93.8"],
        [*ran.out.splitlines()[5].split()[:2], "0", "of", "1", "91.2"],
    ]
    assert "bright flags 3 of 40 images, most of class b: 3 of its 20" in ran.err
    assert "look at the images before you drop a row" in ran.err
    assert "is trained" not in ran.err, "this filter needs no model"
    assert scan_data(folder, defense="bright:level=250").code == 0


def test_two_filters_agree_and_a_model_is_trained_and_announced(scan_data: Cli, folder: Path, tmp_path: Path) -> None:
    args = ["--recipe", "fast:epochs=8,batch=10,flip=false,crop=0,smoothing=0", "--format", "json"]
    ran = scan_data(folder, *args, defense="learned,bright,bright:level=-1")
    assert ran.code == 1, ran.err
    first = ran.err.splitlines()[0]
    assert first.startswith(
        "narrownet is trained by fast on 40 images of 12x12 in 2 classes, each seen 8 times, about "
    )
    assert first.endswith(" here, for learned; what a filter trains itself takes longer")
    found = json.loads(ran.out)
    assert (found["images"], found["classes"], found["shape"]) == (40, ["a", "b"], [3, 12, 12])
    assert [one["error"] for one in found["filters"]] == [None, None, "bright raised RuntimeError: fell over"]
    wrong = {row["file"] for row in found["top"] if "learned" in row["flagged_by"]}
    assert wrong == {"b/more/17.png", "b/18.png", "b/more/19.png"}
    assert any("of the labels right that it was trained on" in note for note in found["notes"])
    for row in found["top"]:
        assert row["mean_percentile"] == pytest.approx(sum(row["percentiles"].values()) / 2, abs=0.02)


def test_csv_and_sheet(scan_data: Cli, folder: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "out.csv", tmp_path / "sheet.png"
    assert scan_data(folder, "--format", "csv", "--out", out, "--sheet", sheet, "--top", "6").code == 1
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["file"] for row in rows[:3]] == ["b/02.png", "b/more/01.png", "b/00.png"]
    assert rows[0] == {"file": "b/02.png", "class": "b", "flagged_by": "1", "bright": "98.8"}
    with Image.open(sheet) as drawn:
        frames: list[Any] = [drawn.getpixel((144 * (place % 3) + 6, 174 * (place // 3) + 60)) for place in range(6)]
    assert [red > green + 100 for red, green, _ in frames] == [True] * 3 + [False] * 3


def test_clean_images_are_learned_from_once_if_they_are_named(scan_data: Cli, folder: Path) -> None:
    for number in range(4):
        Image.new("RGB", (12, 12), (250,) * 3).save(folder / "a" / f"white{number}.png")
    clean = folder.parent / "clean"
    clean.mkdir()
    for number in range(4):
        Image.new("RGB", (20, 16), (110 + number,) * 3).save(clean / f"{number}.png")
    ran = scan_data(folder, "--clean", clean, "--format", "json", defense="foreign")
    assert ran.code == 1, ran.err
    assert [row["flagged_by"] for row in json.loads(ran.out)["top"][:5]] == [["foreign"]] * 4 + [[]]
    assert "prepare foreign" in ran.err
    assert "prepare" not in scan_data(folder, "--clean", clean, defense="foreign").err
    refused = scan_data(folder, "--clean", clean, defense="named")
    assert refused.code == 2
    assert "the clean images have no labels: give --clean a dataset with the same class names" in refused.err
    assert "have other classes than the training set" in scan_data(folder, "--clean", "toy", defense="named").err


def test_what_cannot_be_read_or_has_no_class_is_said(scan_data: Cli, folder: Path) -> None:
    (folder / "a" / "bad.png").write_bytes(b"no")
    Image.new("RGB", (12, 12)).save(folder / "loose.png")
    Image.new("RGB", (30, 12)).save(folder / "b" / "wide.png")
    ran = scan_data(folder, "--format", "json")
    for note in ("1 of 41 images were resized to 12x12", "1 could not be read", "1 in no class folder were left out"):
        assert note in ran.err
    assert json.loads(ran.out)["unreadable_files"] == [{"file": "a/bad.png", "why": "not an image"}]


def test_a_model_that_learns_nothing_names_no_row(scan_data: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "same" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (12, 12), (90,) * 3).save(tmp_path / "same" / name / f"{number}.png")
    ran = scan_data(tmp_path / "same", "--recipe", "fast:epochs=1", defense="learned")
    assert (ran.code, ran.out) == (2, "")
    assert "error: no row can be named: after training, the model gets 50.0% of the labels right" in ran.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--defense", "none"], "no training filter was asked for"),
        (["--defense", "strip"], "does not filter training sets (it is: input detector)"),
        (["--defense", "foreign"], "foreign learns from clean images: say which with --clean"),
        (["--defense", "named"], "named learns from clean images: say which with --clean"),
        (["--clean", "/nowhere/x"], "there is no folder /nowhere/x"),
        (["--clean", "toyy"], "did you mean 'toy'"),
        (["--size", "0.5"], "--size must be one number"),
        (["--model", "narownet"], "did you mean 'narrownet'"),
        (["--recipe", "fats"], "fast"),
        (["--sheet", "x.jpg"], "ends in .png"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(scan_data: Cli, folder: Path, args: list[str], words: str) -> None:
    ran = scan_data(folder, *args, "--quiet")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_folders_that_are_no_training_set_are_refused(scan_data: Cli, folder: Path, tmp_path: Path) -> None:
    assert "must hold one folder of images per class, at least two: found none" in scan_data(folder / "a" / "more").err
    (tmp_path / "splits").mkdir()
    folder.rename(tmp_path / "splits" / "train")
    ran = scan_data(tmp_path / "splits")
    assert "at least two: found only 'train'" in ran.err
    (tmp_path / "empty").mkdir()
    ran = scan_data(tmp_path / "empty")
    assert ran.code == 2
    assert "there are no readable images in" in ran.err
