"""benchkit scan images, through the real entry point: what it finds, what it says of it, and what it learns for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli
from PIL import Image
from sample_pictures import cornered, folder_of_one

TOY = Path(__file__).parents[1] / "toy.py"


def test_the_stamped_images_come_first_and_the_exit_code_says_so(scan_images: Cli, stamped_folder: Path) -> None:
    ran = scan_images(stamped_folder, "--top", "4")
    assert ran.code == 1, ran.err
    lines = ran.out.splitlines()
    assert [line.split()[:4] for line in lines[2:5]] == [
        ["27.png", "240.000", "100.0%", "flagged"],
        ["a/b/17.png", "220.000", "100.0%", "flagged"],
        ["a/07.png", "200.000", "100.0%", "flagged"],
    ]
    assert "passed" in lines[5]
    assert len(lines) == 6
    assert "3 of 30 images are above the threshold" in ran.err
    assert "expect about 1.5 false alarms here if all are clean" in ran.err
    assert "not proven clean" in ran.err
    for file in stamped_folder.rglob("*7.png"):
        file.unlink()
    clean = scan_images(stamped_folder)
    assert clean.code == 0
    assert "flagged" not in clean.out


def test_json_says_what_the_scan_can_and_cannot_tell(scan_images: Cli, stamped_folder: Path) -> None:
    found = json.loads(scan_images(stamped_folder, "--format", "json", "--top", "2").out)
    assert (found["images"], found["flagged"], found["resized"], found["lossy"]) == (30, 3, 0, 0)
    assert found["allowed_fpr"] == 0.05
    assert found["expected_false_alarms"] == pytest.approx(1.5)
    assert found["shape"] == [3, 12, 12]
    assert found["control_images"] == 30
    after = found["flagged_after"]
    assert after["as_they_are"] == pytest.approx(0.1)
    assert set(after) == {"as_they_are", "jpeg_75", "one_grey_level_of_noise", "resize"}
    assert after["one_grey_level_of_noise"] == pytest.approx(0.1)
    assert [row["file"] for row in found["top"]] == ["27.png", "a/b/17.png"]
    assert found["top"][0] == {
        "file": "27.png", "score": 240.0, "clean_percentile": 100.0, "verdict": "flagged",
        "width": 12, "height": 12, "format": "PNG",
    }  # fmt: skip


def test_control_figures_are_measured_on_the_users_own_images(scan_images: Cli, tmp_path: Path) -> None:
    root = tmp_path / "near"
    root.mkdir()
    threshold = json.loads(scan_images(folder_of_one(tmp_path, cornered()), "--format", "json").out)["threshold"]
    for number in range(40):
        cornered(int(threshold)).save(root / f"{number}.png")
    after = json.loads(scan_images(root, "--format", "json").out)["flagged_after"]
    assert after["as_they_are"] == 0
    assert 0.05 < after["one_grey_level_of_noise"] < 0.95


def test_the_second_scan_learns_nothing_and_says_the_same(
    scan_images: Cli, stamped_folder: Path, tmp_path: Path
) -> None:
    small = "freq-detector:rounds=1"
    first = scan_images(stamped_folder, defense=small)
    assert first.code in (0, 1), first.err
    assert "prepare freq-detector" in first.err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.safetensors")}
    assert len(before) == 2
    again = scan_images(stamped_folder, defense=small)
    assert "prepare" not in again.err
    assert again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_run_learned_serves_a_scan_and_damage_is_repaired(
    scan_images: Cli, stamped_folder: Path, toy_run: Cli, tmp_path: Path
) -> None:
    small = "freq-detector:rounds=1"
    assert toy_run("--attacks", "none", "--defenses", small, "--no-victims", "--jobs", 1).code == 0
    first = scan_images(stamped_folder, defense=small)
    assert "prepare" not in first.err
    for file in (tmp_path / "results").rglob("prepare/*/tensors.safetensors"):
        os.truncate(file, 100)
    again = scan_images(stamped_folder, defense=small)
    assert "prepare" in again.err
    assert again.out == first.out


def test_without_clean_images_nothing_is_learned_and_one_sentence_says_what_to_give(
    scan_images: Cli, tmp_path: Path
) -> None:
    ran = scan_images(folder_of_one(tmp_path, cornered(size=32)), clean=None)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: say what clean images look like: --clean FOLDER")
    assert not (tmp_path / "results").exists()


def test_resized_and_compressed_images_are_said_to_be_unreliable(scan_images: Cli, tmp_path: Path) -> None:
    root = folder_of_one(tmp_path, cornered(size=40))
    cornered().save(root / "two.jpg")
    cornered(mode="L").save(root / "three.png")
    ran = scan_images(root, "--format", "json")
    found = json.loads(ran.out)
    assert (found["images"], found["resized"], found["lossy"]) == (3, 1, 1)
    assert "1 of 3 images were resized to 12x12: their scores are unreliable" in ran.err
    assert "1 of 3 images are JPEG, WebP or AVIF: their scores are unreliable" in ran.err
    assert sum("unreliable" in note for note in found["notes"]) == 2


def test_nothing_is_cut_away_from_images_that_are_not_square(scan_images: Cli, tmp_path: Path) -> None:
    wide = Image.new("RGB", (48, 12), (60, 60, 60))
    wide.paste((255, 255, 255), (36, 9, 48, 12))
    assert scan_images(folder_of_one(tmp_path, wide)).code == 1


def test_the_folder_that_a_detector_learned_from_is_what_it_calls_clean(scan_images: Cli, tmp_path: Path) -> None:
    for number in range(80):  # what is bright is at the ends, which the square at the centre does not have
        for place, edge in (("a", number), ("b", number + 80)):
            image = Image.new("RGB", (64, 32), (20, 20, 20))
            image.paste((40 + edge,) * 3, (48, 0, 64, 32))
            (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "set" / place / f"{number}.png")
    found = json.loads(
        scan_images(tmp_path / "set", "--format", "json", clean=f"image-folder:root={tmp_path / 'set'}").out
    )
    assert found["images"] == 160
    assert found["flagged"] <= 16, "5 % were allowed"


def test_the_sheet_shows_the_most_suspicious_framed_in_red(
    scan_images: Cli, stamped_folder: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    assert (
        scan_images(
            stamped_folder, "--top", "6", "--sheet", sheet, "--out", tmp_path / "out.csv", "--format", "csv"
        ).code
        == 1
    )
    with Image.open(sheet) as drawn:
        assert drawn.size == (3 * 144, 2 * 174)
        frames: list[Any] = [drawn.getpixel((144 * (place % 3) + 6, 174 * (place // 3) + 60)) for place in range(6)]
        assert drawn.getpixel((8 + 127, 8 + 127)) == (240, 240, 240)
    assert [red > green + 100 for red, green, _ in frames] == [True] * 3 + [False] * 3
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 7


def test_the_sheet_shows_photographs_as_they_are_in_their_files(scan_images: Cli, tmp_path: Path) -> None:
    wide = Image.new("RGB", (480, 120), (60, 60, 60))
    wide.paste((200, 0, 0), (0, 0, 240, 120))
    sheet = tmp_path / "sheet.png"
    assert scan_images(folder_of_one(tmp_path, wide), "--sheet", sheet).code in (0, 1)
    with Image.open(sheet) as drawn:
        assert [drawn.getpixel((8 + x, 8 + 16)) for x in (20, 120)] == [(200, 0, 0), (60, 60, 60)]
        assert drawn.getpixel((8 + 64, 8 + 60)) == (255, 255, 255), "the photograph is four times as wide as high"


def test_size_is_the_clean_datasets_parameter(scan_images: Cli, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    for name in ("a", "b"):
        (clean / name).mkdir(parents=True)
        for number in range(3):
            cornered(100 + number).save(clean / name / f"{number}.png")
    root = folder_of_one(tmp_path, cornered())
    for size, side in (("16x16", 16), ("20", 20)):
        ran = scan_images(root, "--size", size, "--format", "json", clean=f"image-folder:root={clean}")
        assert json.loads(ran.out)["shape"] == [3, side, side]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--defense", "strip"], "without a model: freq-detector"),
        (["--defense", "fine-tuning"], "does not score images (it is: model repair)"),
        (["--defense", "neural-cleanse"], "it is: model detector"),
        (["--defense", "freq-detektor"], "did you mean 'freq-detector'"),
        (["--defense", "brightest,freq-detector"], "got 2"),
        (["--defense", "none"], "got 0"),
        (["--defense", "brightest:mode=nan"], "cutoff returned nan"),
        (["--defense", "brightest:mode=raise"], "brightest raised RuntimeError: the detector fell over"),
        (["--defense", "brightest:mode=model"], "scene.model"),
        (["--defense", "freq-detector:clean=0.001"], "needs 3 clean images"),
        (["--clean", "toyy"], "did you mean 'toy'"),
        (["--clean", "toy,scenes"], "one clean dataset, got 2"),
        (["--clean", "image-folder:root=/nowhere"], "/nowhere"),
        (["--size", "32x48"], "square"),
        (["--size", "32"], "leave --size out"),
        (["--sheet", "sheet.jpg"], "ends in .png"),
        (["--sheet", "/nowhere/sheet.png"], "no folder /nowhere"),
        (["--out", "/nowhere/out"], "no folder /nowhere"),
        (["--top", "0"], "--top"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    scan_images: Cli, stamped_folder: Path, args: list[str], words: str
) -> None:
    ran = scan_images(stamped_folder, *args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_the_same_seed_gives_the_same_scan(scan_images: Cli, tmp_path: Path) -> None:
    root = tmp_path / "noise"
    root.mkdir()
    rng = torch.Generator().manual_seed(0)
    for number in range(210):
        pixels = torch.randint(0, 190, (12, 12, 3), generator=rng, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(root / f"{number}.png")
    first, again = (scan_images(root, "--format", "json", "--seed", "3").out for _ in range(2))
    assert first == again
