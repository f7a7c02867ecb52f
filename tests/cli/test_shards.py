"""--shard: jobs that share nothing compute, together, what one run computes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Comparable, RecordsIn
from toy_steps import step

from benchkit.errors import NothingToRun
from benchkit.plan.shard import Shard, shard
from benchkit.plan.steps import Plan

TOY = Path(__file__).parents[1] / "toy.py"
MATRIX = (
    "--attacks", "none,corner,badnets:size=3,corner:mode=noop", "--defenses", "brightest",
    "--device", "cpu", "--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "-p", TOY,
)  # fmt: skip
INLINE = ("--executor", "inline")


def test_three_shards_merged_are_the_whole_run(
    benchkit_cli: Cli, records_in: RecordsIn, comparable: Comparable, tmp_path: Path
) -> None:
    whole = benchkit_cli("run", *MATRIX, *INLINE, "--results", tmp_path / "whole")
    assert whole.code == 1, "corner:mode=noop changes no pixel and fails"
    found = []
    for number in (1, 2, 3):
        folder = tmp_path / f"part{number}"
        ran = benchkit_cli("run", *MATRIX, *INLINE, "--results", folder, "--shard", f"{number}/3")
        assert ran.code == (number == 3), ran.err
        assert f", shard {number}/3 = " in ran.err
        found.append({one["key"]: one for one in records_in(folder)})
        shutil.copytree(folder / "results", tmp_path / "merged" / "results", dirs_exist_ok=True)
    assert sum(map(len, found)) == len(set().union(*found)) == 8
    assert sorted(map(len, found)) == [2, 2, 4]
    merged, expected = records_in(tmp_path / "merged"), records_in(tmp_path / "whole")
    assert [comparable(one) for one in merged] == [comparable(one) for one in expected]
    reports = [benchkit_cli("report", "--results", tmp_path / name).out for name in ("merged", "whole")]
    assert reports[0] == reports[1] != ""


def test_plan_shows_the_shard(benchkit_cli: Cli, tmp_path: Path) -> None:
    parts = [benchkit_cli("plan", *MATRIX, "--results", tmp_path, "--shard", f"{n}/2") for n in (1, 2)]
    assert [part.code for part in parts] == [0, 0]
    assert "shard 1/2 = 4 cells" in parts[0].out
    assert "shard 2/2 = 4 cells" in parts[1].out


def test_a_shard_without_victims_is_nothing_to_run(benchkit_cli: Cli, tmp_path: Path) -> None:
    ran = benchkit_cli("plan", *MATRIX, "--results", tmp_path, "--shard", "1/9")
    assert ran.code == 3
    assert "shard 1/9 is empty" in ran.err


def planned(rng: random.Random) -> Plan:
    """Return a plan of many victims with two cells each, of which some share a parent."""
    made = Plan()
    for number in range(rng.randrange(1, 40)):
        shared, own = f"s{number % 3}", f"t{number}"
        same: dict[str, Any] = {"attack": f"a{number}", "seed": number % 3, "poison_rate": 0.1}
        made.steps[shared] = step("train", shared, **same)
        made.steps[own] = step("train", own, parents=[shared], **same)
        for cell in (f"c{number}", f"e{number}"):
            made.steps[cell] = step("cell", cell, parents=[own], **same)
            made.cells.append(cell)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_shards_part_the_cells_evenly_and_keep_victims_whole(seed: int) -> None:
    rng = random.Random(seed)
    plan, count = planned(rng), rng.randrange(1, 8)
    parts = []
    for number in range(1, count + 1):
        try:
            parts.append(Shard(number, count).of(plan))
        except NothingToRun:
            parts.append(Plan())
    cells = [cell for part in parts for cell in part.cells]
    assert sorted(cells) == sorted(plan.cells)
    assert max(len(part.cells) for part in parts) - min(len(part.cells) for part in parts) <= 2
    for part in parts:
        assert {cell[1:] for cell in part.cells if cell[0] == "c"} == {
            cell[1:] for cell in part.cells if cell[0] == "e"
        }
        needed = {parent for step in part.steps.values() for _, parent in step.parents.values()}
        assert needed | set(part.cells) == set(part.steps), "a shard lacks a step, or has one that nothing needs"


def test_neighbours_stay_together() -> None:
    made = Plan()
    for seed in (0, 1):
        for attack in ("a", "b"):
            made.steps[f"{attack}{seed}"] = step("cell", f"{attack}{seed}", attack, seed=seed, poison_rate=0.1)
            made.cells.append(f"{attack}{seed}")
    assert Shard(1, 2).of(made).cells == ["a0", "b0"]
    assert str(shard(" 2/2 ")) == "2/2"
    assert shard("2/2").of(made).cells == ["a1", "b1"]
