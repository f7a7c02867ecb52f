"""Fixtures that several test folders share."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Comparable, FindRecord, Ran, RecordsIn
from here import run_here
from once import once

TOY = Path(__file__).parent / "toy.py"

# One thread, set before torch wakes up: the same numbers on every machine of a kind, and no contention.
os.environ["OMP_NUM_THREADS"] = "1"

RECIPE = ("--dataset", "toy", "--recipe", "fast:epochs=2,batch=32", "-p", str(TOY))
"""What ``toy_run`` trains, and on what."""
PROCESSES = {"--device", "--executor", "--jobs", "--retries", "--slots-per-device", "--threads", "--timeout"}
"""Options of runs whose steps are to be made in processes of their own."""
FEW = 3
"""Up to so many files are tested in this very process, which starts at once and can be debugged."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes test: one for each core, or none besides this one for a few files."""
    files = [name for name in config.args if name.partition("::")[0].endswith(".py")]
    return 0 if 0 < len(files) == len(config.args) <= FEW else len(os.sched_getaffinity(0))


@pytest.fixture
def benchkit_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process, through the function the console script calls."""
    from benchkit import cli

    def run(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["benchkit", *map(str, args)])
        capsys.readouterr()
        code = cli._code()
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def toy_run(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Run ``benchkit run`` on the toy dataset, into ``tmp_path / "results"``.

    It starts no process, unless an option about processes is given: a fork server and its worker take longer to import
    torch than most of these runs to compute.
    """

    def run(*args: object, results: Path | None = None) -> Ran:
        where = results or tmp_path / "results"
        how = () if PROCESSES & set(map(str, args)) else ("--executor", "inline", "--device", "cpu")
        return benchkit_cli("run", *args, *RECIPE, "--results", where, *how)

    return run


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that is one and the same for all processes of this session."""
    ours: Path = tmp_path_factory.getbasetemp()
    return ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours


@pytest.fixture(scope="session")
def toy_recipe() -> tuple[str, ...]:
    """Return what ``toy_run`` asks for besides what it is given: data, recipe and plugin."""
    return RECIPE


@pytest.fixture(scope="session")
def toy_world(shared_folder: Path) -> Path:
    """Return the results folder of ``toy_run --attacks none,corner``: two trained victims. Nobody writes into it."""

    def make(folder: Path) -> None:
        run_here("--attacks", "none,corner", "--defenses", "none", *RECIPE, "--results", folder)

    return once(shared_folder / "toy_world", make)


@pytest.fixture
def trained(toy_world: Path, tmp_path: Path) -> None:
    """Let ``toy_run`` find its benign victim and that of ``corner`` trained, for what is not about training them."""
    shutil.copytree(toy_world / "artifacts", tmp_path / "results" / "artifacts")


@pytest.fixture(scope="session")
def real_set() -> Callable[[str], Path]:
    """Return a function that gives the folder of a real set of images; where there is none, it skips the test."""

    def find(name: str) -> Path:
        root = os.environ.get("BENCHKIT_TEST_DATA")
        if not root or not Path(root, name).is_dir():
            pytest.skip(f"set BENCHKIT_TEST_DATA to a folder that holds {name}")
        return Path(root, name)

    return find


@pytest.fixture(scope="session")
def records_in() -> RecordsIn:
    """Return a function that reads every record below a results folder, sorted by path."""

    def read(results: Path) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((results / "results").rglob("*.json"))]

    return read


@pytest.fixture
def cell(records_in: RecordsIn, tmp_path: Path) -> FindRecord:
    """Return a function that gives the one record of an attack and a defense in ``toy_run``'s results."""

    def find(attack: str, defense: str) -> dict[str, Any]:
        found = records_in(tmp_path / "results")
        (one,) = [record for record in found if record["attack"] == attack and record["defense"] == defense]
        return one

    return find


@pytest.fixture(scope="session")
def comparable() -> Comparable:
    """Return a function that strips a record of what differs between two runs of one thing: time and memory."""

    def strip(record: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in record.items() if name not in ("costs", "finished")}
        measured = {name: value for name, value in record["metrics"].items() if name not in ("seconds", "peak_mb")}
        return {**kept, "metrics": measured}

    return strip
