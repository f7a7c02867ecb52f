"""benchkit scan images with a plain folder of clean photographs, and what it says its scores are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli
from PIL import Image

from benchkit.scan.sizes import sizes
from benchkit.scan.sticker import diameter, with_sticker

YELLOW = '''
from dataclasses import dataclass
import benchkit


@dataclass(frozen=True)
class Yellow(benchkit.InputDetector):
    """Scores the number of yellow pixels."""

    name = "yellow"

    def score(self, images, scene):
        red, green, blue = images.float().unbind(1)
        return ((red > 200) & (green > 150) & (blue < 100)).float().sum((1, 2)) + red.mean((1, 2)) / 1000


@benchkit.hookimpl
def benchkit_defenses():
    return [Yellow]
'''


def photographs(root: Path, number: int, size: tuple[int, int], *, form: str = "png", seed: int = 0) -> Path:
    """Write noisy blue images (width, height), every one of another brightness."""
    root.mkdir(parents=True)
    rng = torch.Generator().manual_seed(seed)
    for place in range(number):
        pixels = torch.randint(0, 20 + place % 100, (size[1], size[0], 3), generator=rng, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(root / f"{place:03}.{form}")
    return root


@pytest.fixture
def yellow(tmp_path: Path) -> tuple[str, Path]:
    """Return the options that load a detector of yellow."""
    plugin = tmp_path / "yellow_plugin.py"
    plugin.write_text(YELLOW)
    return "-p", plugin


def scanned(ran: Any) -> dict[str, Any]:
    assert ran.code in (0, 1), ran.err
    found: dict[str, Any] = json.loads(ran.out)
    assert ran.err.splitlines()[: len(found["notes"])] == found["notes"], "notes are said in the order of the JSON"
    return found


def test_a_flat_folder_of_clean_images_is_enough(scan_images: Cli, tmp_path: Path, yellow: tuple[str, Path]) -> None:
    clean = photographs(tmp_path / "my, clean", 40, (30, 44))
    (clean / "more").mkdir()
    photographs(clean / "more" / "b", 10, (52, 40), seed=1)
    suspects = photographs(tmp_path / "mine", 30, (40, 36), seed=2)
    with Image.open(suspects / "007.png") as image:
        image.paste((250, 210, 30), (10, 10, 18, 18))
        image.save(suspects / "007.png")
    args = (*yellow, "--format", "json", "--top", "2", "--quiet")
    ran = scan_images(suspects, *args, clean=str(clean), defense="yellow:clean=1")
    found = scanned(ran)
    assert ran.code == 1
    assert found["shape"] == [3, 24, 24], "the smaller of the medians of the shorter sides, 30 and 36, by eights"
    assert found["usable"] is True
    assert found["in_top_tenth_with_a_sticker"] == 1
    assert found["notes"][0] == (
        "these scores can find visible stickers: of 30 of these images, 100% would come into the top tenth with a "
        "round sticker of 3 pixels on them (10% by chance)"
    )
    assert found["notes"][1].startswith("images are compared at 24x24 (the clean ones are 30x44 to 52x40, yours 40x36)")
    assert "30 of 30 images were resized to 24x24, as clean ones were" in found["notes"]
    assert found["top"][0]["file"] == "007.png"
    assert (found["top"][0]["clean_percentile"], found["clean_images"]) == (100, 50)
    assert 0 < found["top"][1]["clean_percentile"] <= 100


def test_images_that_alone_were_resized_are_not_to_be_used(
    scan_images: Cli, tmp_path: Path, yellow: tuple[str, Path]
) -> None:
    clean = photographs(tmp_path / "clean", 40, (16, 16))
    suspects = photographs(tmp_path / "mine", 30, (40, 36))
    ran = scan_images(
        suspects, *yellow, "--size", "16", "--format", "json", "--quiet", clean=str(clean), defense="yellow"
    )
    found = scanned(ran)
    assert found["usable"] is False
    assert found["notes"][0] == (
        "do not use these scores: 30 of 30 were resized to 16x16, and most of the clean ones were not; give --clean "
        "images of the size of yours (40x36)"
    )
    ran = scan_images(suspects, *yellow, "--quiet", defense="yellow")
    assert ran.err.startswith(
        "do not use these scores: 30 of 30 were resized to 12x12, and toy has images of that size"
    )


def test_what_cannot_see_a_sticker_says_so_and_asks_for_larger_images(scan_images: Cli, tmp_path: Path) -> None:
    clean = photographs(tmp_path / "clean", 40, (64, 64))
    suspects = photographs(tmp_path / "mine", 30, (64, 64), seed=1)
    found = scanned(scan_images(suspects, "--size", "16", "--format", "json", "--quiet", clean=str(clean)))
    assert found["usable"] is False
    assert found["notes"][0].startswith("do not use these scores to find stickers: of 30 of these images, ")
    assert found["notes"][0].endswith("30 of 30 were resized to 16x16: try a larger --size, up to 64")


def test_another_kind_of_images_is_named(scan_images: Cli, tmp_path: Path) -> None:
    suspects = tmp_path / "bright"
    suspects.mkdir()
    for place in range(30):
        Image.new("RGB", (12, 12), (200 + place,) * 3).save(suspects / f"{place}.png")
    ran = scan_images(suspects, "--quiet")
    assert ran.code == 1
    assert ran.err.startswith("do not use these verdicts, at most the order: 100% of 30 of these images are flagged")
    for file in sorted(suspects.iterdir())[5:]:
        file.unlink()
    assert scan_images(suspects, "--quiet").err.startswith("do not rely on these scores: 5 images are too few")


@pytest.mark.parametrize(
    ("clean", "words"),
    [
        ("/nowhere/clean", "there is no folder /nowhere/clean"),
        ("EMPTY", "there are no readable images in it"),
        ("flat-folder", "write flat-folder:root=PATH"),
    ],
)
def test_bad_clean_folders_are_one_sentence(scan_images: Cli, tmp_path: Path, clean: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    suspects = photographs(tmp_path / "mine", 2, (12, 12))
    ran = scan_images(suspects, clean=str(tmp_path / "empty") if clean == "EMPTY" else clean)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_the_side_is_that_of_most_images_or_the_median_of_shorter_sides(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "a", 5, (33, 33))
    photographs(folder / "b", 4, (100, 90))
    found = sizes(folder)
    assert found is not None
    assert (found.images, found.side(), found.others((3, 33, 33)), found.lossy) == (9, 33, 4, 0)
    photographs(folder / "c", 6, (100, 90), form="jpg")
    found = sizes(folder)
    assert found is not None
    assert (found.side(), found.lossy, found.said()) == (64, 6, "33x33 to 100x90")
    small = sizes(photographs(tmp_path / "small", 3, (52, 46)))
    assert small is not None
    assert (small.side(), small.said()) == (40, "52x46")
    large = sizes(photographs(tmp_path / "large", 2, (400, 400)))
    assert large is not None
    assert large.side() == 64
    assert sizes(tmp_path / "absent") is None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sticker_is_a_disc_somewhere_in_the_image(channels: int) -> None:
    images = torch.full((50, channels, 42, 56), 128, dtype=torch.uint8)
    changed = (with_sticker(images, torch.Generator().manual_seed(0)) != images).any(1)
    assert diameter((channels, 42, 56)) == 6
    area = changed.sum((1, 2))
    assert area.min() >= 20
    assert area.max() <= 49
    centres = changed.float().sum(1).argmax(1)
    assert centres.unique().numel() > 15
