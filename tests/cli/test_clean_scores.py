"""An input detector scores the clean test images once for all attacks, unless it sees the victim."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn

TESTED = 120
"""Test images of the toy set."""
PLUGIN = '''
from dataclasses import dataclass
from pathlib import Path

import benchkit


@dataclass(frozen=True)
class Counting(benchkit.InputDetector):
    """Scores brightness, and writes down how many images it was given."""

    name = "counting"
    log: str = benchkit.param("", "file to write to")

    def score(self, images, scene):
        with Path(self.log).open("a") as file:
            file.write(f"{len(images)}\\n")
        return images.float().mean((1, 2, 3))


@dataclass(frozen=True)
class Watching(Counting):
    """The same, but it is granted the victim."""

    name = "watching"
    needs = frozenset({"model"})


@benchkit.hookimpl
def benchkit_defenses():
    return [Counting, Watching]
'''


@pytest.mark.parametrize(("name", "times"), [("counting", 1), ("watching", 3)])
def test_clean_images_are_scored_once_per_thing_that_scores_depend_on(
    toy_run: Cli, tmp_path: Path, records_in: RecordsIn, name: str, times: int
) -> None:
    plugin, log = tmp_path / "counting.py", tmp_path / "log"
    plugin.write_text(PLUGIN)
    args = ("--attacks", "none,control:jpeg=75,corner,badnets", "--defenses", f"{name}:log={log}")
    ran = toy_run(*args, "-p", plugin, "--executor", "inline")
    assert ran.code == 0, ran.err
    scored = Counter(log.read_text().split())
    assert scored[f"{TESTED}"] == times + 1  # and what the benign row has processed
    records = [record for record in records_in(tmp_path / "results") if record["defense"] != "none"]
    assert len(records) == 4
    assert all(record["costs"]["scores"]["seconds"] >= 0 for record in records)
    total = sum(records[0]["costs"][name]["seconds"] for name in ("cell", "scores"))
    assert records[0]["metrics"]["seconds"] == pytest.approx(total)
