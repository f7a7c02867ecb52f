"""benchmarks/experiments/false_alarms.py: detectors that memorise their clean images are told from others."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fixture_types import Cli

TESTS = Path(__file__).parents[1]
DETECTORS = '''
from dataclasses import dataclass
import torch
import benchkit


@dataclass(frozen=True)
class Redness(benchkit.InputDetector):
    """Scores the mean of the red channel, which it learns nothing for."""

    name = "redness"
    needs = frozenset({"model"})

    def score(self, images, scene):
        return images[:, 0].float().mean((1, 2))


@dataclass(frozen=True)
class Nearest(benchkit.InputDetector):
    """Scores the distance to the nearest of its images, which is 0 for each of them."""

    name = "nearest"
    needs = frozenset({"model"})

    def fit(self, scene):
        return {"known": scene.clean.images.float().flatten(1)}

    def score(self, images, scene):
        return torch.cdist(images.float().flatten(1), scene.fitted["known"]).amin(1)


@benchkit.hookimpl
def benchkit_defenses():
    return [Redness, Nearest]
'''


@pytest.fixture
def asked(tmp_path: Path) -> list[object]:
    """Return which victims and detectors are meant."""
    (tmp_path / "detectors.py").write_text(DETECTORS)
    plugins = ["-p", TESTS / "toy.py", "-p", tmp_path / "detectors.py"]
    return ["--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "--results", tmp_path / "r", *plugins]


def test_alarms_of_new_images_are_counted_and_only_memorising_raises_them(
    benchkit_cli: Cli, script: Cli, asked: list[object], tmp_path: Path
) -> None:
    defenses = ["--defenses", "redness:clean=0.1,nearest:clean=0.1,threshold=fpr:0.2", "--seeds", "0,"]
    how = ["--attacks", "none", "--executor", "inline", "--device", "cpu"]
    assert benchkit_cli("run", *how, *defenses, *asked).code == 0
    ran = script("false_alarms.py", "--draws", "20", *defenses, *asked)
    assert ran.code == 0, ran.err
    with (tmp_path / "false_alarms.csv").open() as file:
        redness, nearest = list(csv.DictReader(file))
    assert (redness["held"], redness["new"]) == ("32", "88")
    # 32 scores: the quantile lets (1 + 31 / 20) / 33 pass on average.
    assert float(redness["expected"]) == pytest.approx(2.55 / 33, abs=1e-5)
    assert abs(float(redness["flagged"]) - 2.55 / 33) < 0.04
    assert 0 < float(redness["error"]) < 0.02
    assert float(redness["least"]) < float(redness["flagged"]) < float(redness["most"])
    assert float(nearest["asked"]) == 0.2
    assert float(nearest["flagged"]) == 1


def test_without_a_run_or_without_scores_it_says_what_to_do(
    benchkit_cli: Cli, script: Cli, asked: list[object]
) -> None:
    ran = script("false_alarms.py", "--defenses", "redness", "--seeds", "0,", *asked)
    assert ran.code == 2
    assert "run the benchkit run that --help shows" in ran.err
    repair = ["--defenses", "fine-tuning", "--seeds", "0,"]
    how = ["--attacks", "none", "--executor", "inline", "--device", "cpu"]
    assert benchkit_cli("run", *how, *repair, *asked).code == 0
    ran = script("false_alarms.py", *repair, *asked)
    assert ran.code == 2
    assert "fine-tuning scores no images" in ran.err
