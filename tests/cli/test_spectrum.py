"""benchkit spectrum, through the real entry point, on the toy dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fixture_types import Cli, Ran
from PIL import Image

TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture
def draw(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Return a function that draws to ``tmp_path / name``."""

    def run(*args: object, name: str = "figure.png") -> Ran:
        fixed = ["--dataset", "toy", "--device", "cpu", "-p", TOY, "--results", tmp_path / "results"]
        return benchkit_cli("spectrum", *fixed, "--out", tmp_path / name, *args)

    return run


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def test_the_second_figure_uses_what_the_first_one_computed(draw: Cli, tmp_path: Path) -> None:
    first = draw("--attacks", "badnets,blend")
    assert first.code == 0, first.err
    assert "spectrum of badnets" in first.err
    width, height = size_of(tmp_path / "figure.png")
    assert 800 < width < 3000
    assert 200 < height < 1500
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.safetensors")}
    again = draw("--attacks", "badnets,blend", name="again.png")
    assert again.code == 0
    assert again.err == f"wrote {tmp_path / 'again.png'}\n"
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "figure.png").read_bytes()
    tall = draw("--attacks", "badnets,blend", "--figure", "detail", "--preset", "paper-small", name="detail.png")
    assert tall.err == f"wrote {tmp_path / 'detail.png'}\n"
    assert size_of(tmp_path / "detail.png")[1] > 900
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_crafted_triggers_and_the_number_of_images(draw: Cli, tmp_path: Path) -> None:
    made = draw("--attacks", "wanet", "--images", "50", "--seed", "3")
    assert made.code == 0, made.err
    assert "craft wanet" in made.err
    steps = [json.loads(file.read_text())["meta"] for file in (tmp_path / "results").rglob("manifest.json")]
    assert [step["info"]["images"] for step in steps if "images" in step["info"]] == [50, 50]


def test_a_damaged_spectrum_is_made_again(draw: Cli, tmp_path: Path) -> None:
    assert draw("--attacks", "badnets", "--quiet").code == 0
    whole = (tmp_path / "figure.png").read_bytes()
    for file in (tmp_path / "results").rglob("spectrum/*/tensors.safetensors"):
        os.truncate(file, 100)
    again = draw("--attacks", "badnets", "--quiet")
    assert again.code == 0, again.err
    assert (tmp_path / "figure.png").read_bytes() == whole


def test_an_attack_that_fails_is_left_out_and_said(draw: Cli, tmp_path: Path) -> None:
    made = draw("--attacks", "badnets,corner:mode=raise", "--quiet")
    assert made.code == 1
    assert "no stamp today" in made.err
    assert "without 1 of 3 spectra" in made.err
    assert size_of(tmp_path / "figure.png")[0] > 500


@pytest.mark.parametrize(
    ("args", "name", "sentence"),
    [
        (("--attacks", "badnet"), "figure.png", "did you mean 'badnets'"),
        (("--attacks", "badnets", "--preset", "loud"), "figure.png", "'loud' is not one of"),
        (("--attacks", "badnets"), "figure.jpeg", "a file that ends in .png, .svg, .pdf"),
        (("--attacks", "badnets"), "nowhere/figure.png", "there is no folder"),
        (("--attacks", "badnets", "--population", "3"), "figure.png", "No such option"),
        (("--attacks", "badnets", "--dataset", "toy,scenes"), "figure.png", "one dataset, got 2"),
        (("--attacks", "badnets:target=99"), "figure.png", "target=99 is not a class"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    draw: Cli, tmp_path: Path, args: tuple[str, ...], name: str, sentence: str
) -> None:
    ran = draw(*args, name=name)
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.glob("figure*"))
