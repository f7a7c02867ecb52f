"""What was passed over in a folder of images is said by every run, and by scans that learn from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixture_types import Cli
from sample_pictures import cornered, folder_of_one, save_even


@pytest.fixture
def lacking(tmp_path: Path) -> Path:
    """Three classes in train/, two in test/, and files that are no images."""
    root = tmp_path / "set"
    for part, names in (("train", "abc"), ("test", "ab")):
        for place, name in enumerate(names):
            for row in range(3):
                save_even(root / part / name / f"{row}.png", 70 * place + row)
    (root / "train" / "a" / "notes.txt").touch()
    (root / "train" / "b" / "4.heic").touch()
    return root


NOTES = (
    "passed over: 2 not named like an image (.heic, .txt)",
    "no test image is of class c: C-Acc and ASR say nothing of it",
)


def test_every_run_says_what_was_passed_over(benchkit_cli: Cli, lacking: Path, tmp_path: Path) -> None:
    args = ["--attacks", "badnets", "--dataset", f"image-folder:root={lacking}", "--device", "cpu", "--jobs", 1]
    for _ in range(2):  # the second reads nothing again
        ran = benchkit_cli("spectrum", *args, "--quiet", "--results", tmp_path / "r", "--out", tmp_path / "s.png")
        assert ran.code == 0, ran.err
        for note in NOTES:
            assert ran.err.count(f"image-folder:root={lacking}: {note}") == 1
    (manifest,) = (tmp_path / "r" / "artifacts" / "data").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["meta"]["info"]["notes"] == list(NOTES)


def test_a_scan_says_what_was_passed_over_in_the_clean_images(scan_images: Cli, lacking: Path, tmp_path: Path) -> None:
    suspects = folder_of_one(tmp_path, cornered(size=32))
    for _ in range(2):
        ran = scan_images(suspects, clean=f"image-folder:root={lacking}")
        assert ran.code in (0, 1), ran.err
        assert ran.err.count(NOTES[0]) == 1
