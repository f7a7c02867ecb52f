"""benchkit import and the attack replay: what was made elsewhere meets every defense here."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixture_types import Cli, RecordsIn
from here import run_here
from once import once
from PIL import Image

TOY = Path(__file__).parents[1] / "toy.py"
WITH_TOY = ("--dataset", "toy", "-p", TOY)
RUN = (*WITH_TOY, "--recipe", "fast:epochs=4,batch=32", "--device", "cpu", "--jobs", "1", "--quiet")


@pytest.fixture(scope="session")
def finished(shared_folder: Path) -> Path:
    """The results folder of a run of one attack, and the images of this attack in ``images``."""

    def make(folder: Path) -> None:
        run_here("--attacks", "badnets", "--defenses", "brightest", *RUN, "--results", folder)

    return once(shared_folder / "to-import", make)


@pytest.fixture
def images(benchkit_cli: Cli, finished: Path, tmp_path: Path) -> Path:
    """The folder of the exported images of the attack."""
    ran = benchkit_cli("export", "--to", "images", "--results", finished, "--out", tmp_path / "x", "-p", TOY)
    assert ran.code == 0, ran.err
    (folder,) = (tmp_path / "x").iterdir()
    return folder


@pytest.fixture
def imported(benchkit_cli: Cli, tmp_path: Path) -> Callable[..., Path]:
    """Import a folder, and return what ``replay`` plays."""

    def run(folder: Path, *more: object, name: str = "played") -> Path:
        ran = benchkit_cli("import", folder, *WITH_TOY, "--out", tmp_path / name, *more)
        assert ran.code == 0, ran.err
        return tmp_path / name

    return run


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def metrics(records: list[dict[str, object]], defense: str) -> object:
    (found,) = [one for one in records if one["defense"] == defense]
    taken = found["metrics"]
    assert isinstance(taken, dict)
    return {name: value for name, value in taken.items() if name not in ("seconds", "peak_mb")}


def test_what_is_exported_and_imported_gives_the_same_victim_and_the_same_numbers(
    benchkit_cli: Cli,
    images: Path,
    imported: Callable[..., Path],
    finished: Path,
    records_in: RecordsIn,
    tmp_path: Path,
) -> None:
    played = imported(images)
    asked = ("--attacks", f"replay:root={played}", "--defenses", "brightest")
    ran = benchkit_cli("run", *asked, *RUN, "--results", tmp_path / "r")
    assert ran.code == 0, ran.err
    for defense in ("none", "brightest"):
        assert metrics(records_in(tmp_path / "r"), defense) == metrics(records_in(finished), defense)


def as_backdoorbench(images: Path, out: Path) -> Path:
    """Lay the exported images out as a record of BackdoorBench: by their true label, without a table."""
    for part, folder in (("train", "bd_train_dataset"), ("test", "bd_test_dataset")):
        for line in table(images / f"{part}.csv"):
            to = out / folder / line["true_label"] / f"{line['row']}.png"
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(images / line["file"], to)
    (out / "attack_result.pt").write_bytes(b"never read")
    return out


def test_a_record_of_backdoorbench_is_the_same_attack(
    images: Path, imported: Callable[..., Path], tmp_path: Path
) -> None:
    record = as_backdoorbench(images, tmp_path / "record")
    ours, theirs = imported(images), imported(record, "--target", "0", name="theirs")
    assert (ours / "replay.safetensors").read_bytes() == (theirs / "replay.safetensors").read_bytes()


def test_files_that_change_are_another_attack(
    benchkit_cli: Cli, images: Path, imported: Callable[..., Path], tmp_path: Path
) -> None:
    played = imported(images)
    asked = ("run", "--attacks", f"replay:root={played}", "--defenses", "brightest", *RUN, "--results", tmp_path / "r")
    assert benchkit_cli(*asked).code == 0
    keys = {path.name for path in (tmp_path / "r" / "results").rglob("*.json")}
    path = images / "test" / table(images / "test.csv")[0]["file"].split("/")[1]
    pixels = np.asarray(Image.open(path)).copy()
    Image.fromarray(255 - pixels).save(path)
    imported(images)
    assert benchkit_cli(*asked).code == 0
    assert len({path.name for path in (tmp_path / "r" / "results").rglob("*.json")} - keys) == 2


def test_a_lower_rate_takes_some_of_the_poisons(
    benchkit_cli: Cli, images: Path, imported: Callable[..., Path], records_in: RecordsIn, tmp_path: Path
) -> None:
    asked = ("--attacks", f"replay:root={imported(images)}", "--defenses", "none", "--poison-rate", "0.05,0.5")
    assert benchkit_cli("run", *asked, *RUN, "--results", tmp_path / "r").code == 0
    shares = {one["poison_rate"]: one["metrics"]["poisoned"] for one in records_in(tmp_path / "r")}
    assert shares[0.05] == pytest.approx(0.05, abs=0.01)
    assert shares[0.5] == pytest.approx(0.1, abs=0.01)


def test_a_victim_from_files_is_not_trained(
    benchkit_cli: Cli,
    finished: Path,
    images: Path,
    imported: Callable[..., Path],
    records_in: RecordsIn,
    tmp_path: Path,
) -> None:
    out = benchkit_cli("export", "--to", "hf", "--results", finished, "--out", tmp_path / "hf", "-p", TOY)
    assert out.code == 0, out.err
    (model,) = (tmp_path / "hf").glob("*/model.safetensors")
    played = imported(images, "--weights", model)
    asked = (
        "run",
        "--attacks",
        f"replay:root={played},weights=true",
        "--defenses",
        "brightest",
        "--results",
        tmp_path / "r",
    )
    assert benchkit_cli(*asked, *RUN).code == 0
    found, known = (metrics(records_in(folder), "none") for folder in (tmp_path / "r", finished))
    assert isinstance(found, dict)
    assert isinstance(known, dict)
    assert (found["c_acc"], found["asr"]) == (known["c_acc"], known["asr"])
    other = benchkit_cli(*asked, *WITH_TOY, "--model", "mntd_cnn", "--recipe", "fast:epochs=1", "--quiet")
    assert other.code == 2
    assert "holds another network than the one that was asked for" in other.err


def damaged(images: Path, name: str, change: Callable[[list[dict[str, str]]], None]) -> None:
    lines = table(images / name)
    change(lines)
    with (images / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)


@pytest.mark.parametrize(
    ("name", "field", "value", "sentence"),
    [
        ("train.csv", "row", "999999", "there is an image of training row 999999, and the data set has"),
        ("train.csv", "row", "-1", "train.csv, line 2: row and label are whole numbers"),
        ("train.csv", "label", "77", "there is a label 77, and the data set has"),
        ("train.csv", "file", "../../secret.png", "leads out of"),
        ("train.csv", "file", "train/none.png", "is not a usable image: No such file"),
        ("test.csv", "row", "", "test.csv, line 2: row and label are whole numbers"),
    ],
)
def test_tables_that_do_not_fit_are_one_sentence(
    benchkit_cli: Cli, images: Path, tmp_path: Path, name: str, field: str, value: str, sentence: str
) -> None:
    damaged(images, name, lambda lines: lines[0].update({field: value}))
    ran = benchkit_cli("import", images, *WITH_TOY, "--out", tmp_path / "played")
    assert ran.code == 2
    assert sentence in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "played").exists()


def test_folders_that_are_no_attack_are_one_sentence(benchkit_cli: Cli, images: Path, tmp_path: Path) -> None:
    def refused(folder: Path, *more: object) -> str:
        ran = benchkit_cli("import", folder, *WITH_TOY, "--out", tmp_path / "played", *more)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)
        return ran.err

    (tmp_path / "empty").mkdir()
    assert "is no attack in files" in refused(tmp_path / "empty")
    record = as_backdoorbench(images, tmp_path / "record")
    assert "give --target" in refused(record)
    assert "--target is a class from 0 to" in refused(record, "--target", "1000")
    (record / "bd_test_dataset" / "0").mkdir(exist_ok=True)
    (record / "bd_test_dataset" / "0" / "first.png").write_bytes(b"x")
    assert "its name is not the number of a row" in refused(record, "--target", "0")
    small = next((images / "test").iterdir())
    Image.new("RGB", (5, 5)).save(small)
    assert "has 5x5 pixels, the data set" in refused(images)


def test_replay_without_its_files_is_one_sentence(benchkit_cli: Cli, tmp_path: Path) -> None:
    def refused(attack: str) -> str:
        ran = benchkit_cli("run", "--attacks", attack, "--defenses", "brightest", *RUN, "--results", tmp_path / "r")
        assert ran.code in (2, 3), ran.err
        assert "Traceback" not in ran.err
        return ran.err

    assert "give root=DIR, a folder that benchkit import wrote" in refused("replay")
    assert "give root=DIR, a folder that benchkit import wrote" in refused(f"replay:root={tmp_path}/none")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "replay.safetensors").write_bytes(b"nothing")
    assert "is no bundle that benchkit import wrote" in refused(f"replay:root={tmp_path}/bad")


def test_the_card_says_how_to_play_it(images: Path) -> None:
    text = (images / "README.md").read_text()
    assert "carry a backdoor trigger" in text
    assert "benchkit import FOLDER --dataset 'toy'" in text
    assert json.loads((images / "about.json").read_text())["attack"] == "badnets"
