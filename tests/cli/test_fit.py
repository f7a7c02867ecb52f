"""Defenses that learn from each victim, through the command line: how often they do, and what becomes of it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from fixture_types import Cli, FindRecord, RecordsIn
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("trained")

PLUGIN = Path(__file__).parents[1] / "fitter.py"
FILTER = '''
from dataclasses import dataclass

import torch

import benchkit


@dataclass(frozen=True)
class Early(benchkit.TrainingFilter):
    """Acts before there is a victim."""

    name = "{name}"

    {body}


@benchkit.hookimpl
def benchkit_defenses():
    return [Early]
'''
EARLY = {
    "reads": "def suspicion(self, train, scene): return scene.fitted['kept']",
    "fits": "def suspicion(self, train, scene): return train.labels - 9\n    def fit(self, scene): return {}",
}


@pytest.fixture
def run(toy_run: Cli) -> Cli:
    return lambda *args: toy_run(*args, "-p", PLUGIN)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where defenses write down what they do."""
    (tmp_path / "log").touch()
    return tmp_path / "log"


def test_variants_that_fit_alike_share_the_fit_of_each_victim(
    run: Cli, log: Path, tmp_path: Path, records_in: RecordsIn
) -> None:
    names = [f"surprised:log={log}{more}" for more in ("", ",threshold=fpr:0.2", ",scale=2")]
    for _ in range(2):
        ran = run("--attacks", "none,corner", "--defenses", ",".join(names))
        assert ran.code == 0, ran.err
        assert log.read_text().split() == ["fit"] * 4  # two victims, two scales
    found = defaultdict(list)
    for folder in (tmp_path / "results" / "artifacts" / "fit").iterdir():
        label = json.loads((folder / "manifest.json").read_text())["meta"]["label"]
        found[label.split()[1]].append(load_file(folder / "tensors.safetensors")["usual"])
    assert sorted(found) == ["corner", "none"]
    for kept in found.values():
        first, second = sorted(kept, key=lambda usual: float(usual.sum()))
        assert second.equal(2 * first)
    records = [one for one in records_in(tmp_path / "results") if one["defense"] != "none"]
    assert len(records) == 6
    for one in records:
        costs = one["costs"]
        own = sum(costs[step]["seconds"] for step in ("cell", "fit", "scores"))
        assert one["metrics"]["seconds"] == pytest.approx(own, abs=2e-3)
    rates = {(one["attack"], one["defense_info"]["params"]["threshold"]): one["metrics"]["fpr"] for one in records}
    assert rates["none", "fpr:0.05"] < rates["none", "fpr:0.2"]


@pytest.mark.parametrize("retries", [0, 1])
def test_a_cell_that_died_is_repeated_without_another_fit(run: Cli, log: Path, cell: FindRecord, retries: int) -> None:
    name = f"surprised:log={log},die=true"
    ran = run("--attacks", "corner", "--defenses", name, "--retries", retries)
    assert ran.code == (0 if retries else 1), ran.err
    assert cell("corner", name)["costs"]["fit"]["seconds"] >= 0
    assert run("--attacks", "corner", "--defenses", name).code == 0
    assert log.read_text().split() == ["fit", "died"]


def test_a_repair_works_with_what_it_fitted(run: Cli, cell: FindRecord) -> None:
    ran = run("--attacks", "corner", "--defenses", "damped")
    assert ran.code == 0, ran.err
    assert cell("corner", "damped")["metrics"]["c_acc"] > 0.5


@pytest.mark.parametrize("population", [0, 2])
def test_a_model_detector_learns_from_each_suspect(
    run: Cli, log: Path, cell: FindRecord, population: int, tmp_path: Path
) -> None:
    name = f"loud:log={log}"
    ran = run("--attacks", "none,corner", "--defenses", name, "--population", population)
    assert ran.code == 0, ran.err
    assert log.read_text().split() == ["fit"] * 2 * (population or 1)
    assert not (tmp_path / "results" / "artifacts" / "fit").exists()
    found = cell("corner", name)["metrics"]
    assert (found["bdr"], found["fpr"]) == (1, 1)  # the largest of what is usual is above the mean of it


def test_the_plan_shows_the_step(benchkit_cli: Cli, tmp_path: Path) -> None:
    toy = PLUGIN.parent / "toy.py"
    asked = ["--attacks", "none,corner", "--defenses", "surprised,glow", "--dataset", "toy", "-p", toy, "-p", PLUGIN]
    ran = benchkit_cli("plan", *asked, "--results", tmp_path)
    (row,) = [line.split() for line in ran.out.splitlines() if line.startswith("fit")]
    assert row == ["fit", "3", "0", "3"]


def test_a_filter_that_would_fit_is_refused_and_one_that_reads_a_fit_fails(
    toy_run: Cli, tmp_path: Path, cell: FindRecord
) -> None:
    for name, body in EARLY.items():
        (tmp_path / f"{name}.py").write_text(FILTER.format(name=name, body=body))
    ran = toy_run("--attacks", "corner", "--defenses", "fits", "-p", tmp_path / "fits.py")
    assert (ran.code, ran.err.count("error:")) == (2, 1)
    assert "fits.fit would never run: a defense of its kind (training filter) acts before there is a victim" in ran.err
    assert toy_run("--attacks", "corner", "--defenses", "reads", "-p", tmp_path / "reads.py").code == 1
    assert "scene.fitted is what a defense's fit() returns" in cell("corner", "reads")["error"]


def test_a_scan_of_images_learns_once_and_again_what_was_lost(
    scan_images: Cli, stamped_folder: Path, log: Path, benchkit_cli: Cli, tmp_path: Path
) -> None:
    results = tmp_path / "results"

    def scan() -> str:
        ran = scan_images(stamped_folder, "-p", PLUGIN, defense=f"glow:log={log}")
        assert ran.code in (0, 1), ran.err
        return ran.out

    first = scan()
    assert scan() == first
    assert log.read_text().split() == ["fit"]
    assert benchkit_cli("cache", "prune", "--results", results, "--stage", "prepare", "--yes").code == 0
    assert scan() == first
    assert log.read_text().split() == ["fit"]
    (made,) = (results / "artifacts" / "fit").glob("[!.]*/tensors.safetensors")
    made.write_bytes(made.read_bytes()[:-1] + b"?")
    assert scan() == first
    assert log.read_text().split() == ["fit", "fit"]
    ran = scan_images(stamped_folder, "-p", PLUGIN, defense="surprised")
    assert ran.code == 2
    assert "needs the predictions of a model" in ran.err


def test_a_scan_of_a_model_learns_from_it(scan_model: Cli, our_weights: dict[str, object], log: Path) -> None:
    ran = scan_model(our_weights, "-p", PLUGIN, "--format", "json", defense=f"loud:log={log}")
    (row,) = json.loads(ran.out)["verdicts"]
    assert (ran.code, row["verdict"]) == (1, "flagged")
    assert row["score"] > row["threshold"]
    assert log.read_text().split() == ["fit"]
