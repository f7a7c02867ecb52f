"""benchkit features, through the real entry point, on the toy dataset; and the arithmetic of its panels."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fixture_types import Cli, Ran
from PIL import Image

from benchkit.report.figures.features import Panel, moved, pca, projected

TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture
def draw(benchkit_cli: Cli, toy_world: Path, tmp_path: Path) -> Cli:
    """Return a function that draws to ``tmp_path / name``, with the results folder of a run."""

    def run(*args: object, name: str = "figure.png") -> Ran:
        fixed = ["--dataset", "toy", "--device", "cpu", "-p", TOY, "--results", tmp_path / "results"]
        fixed += ["--recipe", "fast:epochs=1,batch=32"]
        return benchkit_cli("features", *fixed, "--out", tmp_path / name, *args)

    return run


def test_a_figure_has_a_row_for_each_attack_and_comes_from_the_store_again(draw: Cli, tmp_path: Path) -> None:
    first = draw("--attacks", "none,badnets", "--images", "40")
    assert first.code == 0, first.err
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[1] > 800
    again = draw("--attacks", "none,badnets", "--images", "40", name="again.png")
    assert (again.code, again.err) == (0, f"wrote {tmp_path / 'again.png'}\n")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "figure.png").read_bytes()


def test_an_attack_that_learns_its_trigger_is_drawn_with_its_victim(draw: Cli) -> None:
    learners = Path(__file__).parents[1] / "shared" / "learners.py"
    asked = ("--attacks", "learner", "--model", "two-tensors", "-p", learners, "--images", "20")
    ran = draw(*asked)
    assert ran.code == 0, ran.err


def test_attacks_that_fail_are_left_out_and_said(draw: Cli) -> None:
    ran = draw("--attacks", "none,corner:mode=raise", "--images", "20")
    assert ran.code == 1
    assert "without 1 of 2 attacks" in ran.err


@pytest.mark.parametrize(
    ("args", "name", "sentence"),
    [
        (("--attacks", "badnet"), "figure.png", "did you mean 'badnets'"),
        (("--attacks", "badnets"), "figure.jpeg", "a file that ends in .png, .svg, .pdf"),
        (("--attacks", "badnets", "--dataset", "toy,scenes"), "figure.png", "one dataset, got 2"),
        (("--attacks", "badnets", "--poison-rate", "0.1,0.2"), "figure.png", "one poison rate, got 2"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    draw: Cli, tmp_path: Path, args: tuple[str, ...], name: str, sentence: str
) -> None:
    ran = draw(*args, name=name)
    assert ran.code == 2
    assert sentence in ran.err
    assert not list(tmp_path.glob("figure*"))


@pytest.mark.skipif(find_spec("umap") is not None, reason="umap-learn is here")
def test_umap_says_what_to_install(draw: Cli) -> None:
    ran = draw("--attacks", "badnets", "--method", "umap")
    assert (ran.code, "pip install 'benchkit[umap]'" in ran.err) == (2, True)


def test_pca_keeps_what_varies_most_with_a_fixed_sign() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(60, 2)) * [5.0, 2.0]
    turned = np.linalg.qr(rng.normal(size=(7, 7)))[0][:2]
    rows = plane @ turned + 3.0
    found = pca(rows)
    wanted = plane - plane.mean(0)
    np.testing.assert_allclose(np.abs(np.corrcoef(found[:, 0], wanted[:, 0])[0, 1]), 1, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(wanted, axis=1), atol=1e-9)
    np.testing.assert_array_equal(found, pca(rows.copy()))
    assert pca(rows[:, :1]).shape == (60, 2)


def test_groups_share_one_projection() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(30, 5))
    found = projected({"clean": clean, "triggered": clean + np.array([9.0, 0, 0, 0, 0])}, "pca", 0)
    shift = found["triggered"] - found["clean"]
    np.testing.assert_allclose(np.abs(shift[:, 0]), 9, atol=0.2)
    np.testing.assert_allclose(shift, shift[:1].repeat(30, 0), atol=1e-9)


def test_channels_are_those_that_the_trigger_moves_and_not_its_processing() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(200, 30))
    control = clean + 4.0 * (np.arange(30) == 7)  # what processing does
    triggered = control + 6.0 * (np.arange(30) == 3) - 2.0 * (np.arange(30) == 5)
    order, change = moved(Panel("x", {"clean": clean, "control": control, "triggered": triggered}, np.zeros(200)))
    assert order[:2].tolist() == [3, 5]
    np.testing.assert_allclose(change[:3], [6 / clean.std(0).mean(), -2 / clean.std(0).mean(), 0], atol=1e-9)
