"""--executor inline: the records of the local executor, a debugger's prompt, and a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli, Comparable, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
Start = Callable[..., subprocess.Popen[str]]
HEARING: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
"""A test run in the background ignores SIGINT, and so would its children."""
MATRIX = ("--attacks", "none,corner,corner:mode=raise", "--defenses", "brightest,head-mean", "--device", "cpu")
PLUGIN = '''
import os, time
from dataclasses import dataclass
import benchkit

@dataclass(frozen=True)
class Halting(benchkit.InputDetector):
    """Stops where its author looks, or naps."""

    name = "halting"
    how: str = benchkit.param("stop", "what it does", choices=("stop", "nap"))

    def score(self, images, scene):
        found = images.float().mean((1, 2, 3))
        if self.how == "stop":
            breakpoint()
        else:
            open(os.environ["HALTING"], "a").close()
            time.sleep(60)
        return found

@benchkit.hookimpl
def benchkit_defenses():
    return [Halting]
'''


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give the process back the threads it had, which --threads sets."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def halting(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a run of the halting defense in a process of its own."""
    (tmp_path / "halting.py").write_text(PLUGIN)
    fixed = ["--dataset", "toy", "--no-victims", "--device", "cpu", "--executor", "inline", "--quiet"]
    files = ["-p", str(TOY), "-p", str(tmp_path / "halting.py"), "--results", str(tmp_path / "results")]
    started: list[subprocess.Popen[str]] = []

    def start(how: str, *words: str) -> subprocess.Popen[str]:
        asked = ["-m", "benchkit", "run", "--attacks", "corner", "--defenses", f"halting:how={how}"]
        started.append(
            subprocess.Popen(
                [sys.executable, *words, *asked, *fixed, *files],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "HALTING": str(tmp_path / "begun")},
                **HEARING,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def leftovers(results: Path) -> list[Path]:
    return [*results.rglob(".new-*"), *results.rglob("*.lock"), *results.glob("results/**/*.json")]


def test_records_are_those_of_the_local_executor_to_the_digit(
    toy_run: Cli, records_in: RecordsIn, comparable: Comparable, tmp_path: Path
) -> None:
    before = torch.get_num_threads(), torch.initial_seed()
    runs = {
        how: toy_run(*MATRIX, "--executor", how, "--jobs", "1", "--quiet", results=tmp_path / how)
        for how in ("local", "inline")
    }
    assert (torch.get_num_threads(), torch.initial_seed()) == before
    assert {ran.code for ran in runs.values()} == {1}
    assert runs["inline"].out == runs["local"].out
    local, inline = ([comparable(one) for one in records_in(tmp_path / how)] for how in runs)
    for one in local + inline:
        one.pop("traceback", None)
    assert len(local) == 9
    assert inline == local


def test_threads_are_those_that_were_asked_for(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    ran = toy_run(
        "--attacks", "none", "--defenses", "brightest", "--no-victims", "--executor", "inline", "--threads", "2"
    )
    assert ran.code == 0, ran.err
    assert [one["threads"] for one in records_in(tmp_path / "results")] == [2]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--jobs", "2"], "leave out --jobs"),
        (["--timeout", "5", "--slots-per-device", "auto"], "leave out --slots-per-device and --timeout"),
        (["--device", "cuda:0,cuda:1"], "name one device"),
    ],
)
def test_what_one_process_cannot_do_is_refused(benchkit_cli: Cli, option: str, words: str) -> None:
    ran = benchkit_cli("run", "--attacks", "none", "--executor", "inline", *option)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_a_breakpoint_has_the_terminal_and_leaving_it_ends_the_run(halting: Start, tmp_path: Path) -> None:
    out, err = halting("stop").communicate("p 'shape', images.shape\np self.how\nq\n", timeout=100)
    assert "('shape', torch.Size([" in out
    assert "'stop'" in out
    assert "interrupted: finished steps are kept" in err
    assert not leftovers(tmp_path / "results")


@pytest.mark.slow
def test_pdb_stops_at_a_line_of_a_plugin(halting: Start, tmp_path: Path) -> None:
    line = PLUGIN.splitlines().index('            open(os.environ["HALTING"], "a").close()') + 1
    process = halting("nap", "-m", "pdb", "-c", f"b {tmp_path / 'halting.py'}:{line}", "-c", "continue")
    out, _ = process.communicate("p 'here', self.how\nq\n", timeout=100)
    assert "('here', 'nap')" in out
    assert not leftovers(tmp_path / "results")


def test_ctrl_c_twice_ends_at_once_and_leaves_the_store_clean(halting: Start, tmp_path: Path) -> None:
    process = halting("nap")
    deadline = time.monotonic() + 100
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert not leftovers(tmp_path / "results")
