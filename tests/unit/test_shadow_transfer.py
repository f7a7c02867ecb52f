"""What a detector learns from shadow models, and whether it carries over, on a toy run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fixture_types import Cli

TESTS = Path(__file__).parents[1]
PLUGINS = ["-p", TESTS / "toy.py", "-p", TESTS / "shadowy.py"]
ASKED = [
    "--dataset",
    "toy",
    "--recipe",
    "fast:epochs=4,batch=32,flip=false,crop=0",
    "--population",
    "2",
    "--seeds",
    "2",
]


@pytest.fixture
def finished(benchkit_cli: Cli, tmp_path: Path) -> Path:
    """Return the results folder of a run of a detector whose shadow models have the victims' own backdoor."""
    command = ["--attacks", "none,corner", "--defenses", "probe", "--no-victims", "--results", tmp_path / "r"]
    how = ["--executor", "inline", "--device", "cpu"]
    assert benchkit_cli("run", *command, *ASKED, *PLUGINS, *how).code == 0
    return tmp_path / "r"


@pytest.mark.slow
def test_shadow_models_of_each_seed_are_judged_by_what_the_others_taught(
    script: Cli, finished: Path, tmp_path: Path
) -> None:
    asked = ["--attacks", "corner", "--defense", "probe", "--as", "probe:sign=-1", "--results", finished]
    ran = script("shadow_transfer.py", *asked, *ASKED, *PLUGINS)
    assert ran.code == 0, ran.err
    with (tmp_path / "shadow_transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["learned"], row["left_out"]) for row in rows] == 2 * [("4", "0"), ("4", "1"), ("8", "")]
    right, turned = rows[:3], rows[3:]
    assert all(float(row["corner"]) == 1 for row in right)
    assert all(float(row["shadows"]) == 1 for row in right[:2])
    assert all(float(row["corner"]) == 0 for row in turned)


def test_without_a_run_it_says_what_to_do(script: Cli) -> None:
    ran = script(
        "shadow_transfer.py", "--attacks", "corner", "--defense", "probe", "--results", "none", *ASKED, *PLUGINS
    )
    assert ran.code == 2
    assert "run the benchkit run that --help shows" in ran.err
