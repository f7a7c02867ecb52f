"""A results folder with a diary and accidents, for tests of runs that something happens to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from fixture_types import Cli, Ran

TESTS = Path(__file__).parents[1]
FIXED = [
    "--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "--device", "cpu",
    "-p", str(TESTS / "toy.py"), "-p", str(TESTS / "accidents.py"),
]  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a process; return its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=280)
    return process.returncode, out, err


class Place:
    """One results folder, the runs over it, and the folder in which the plugins of accidents.py keep their diary."""

    def __init__(self, folder: Path, cli: Cli) -> None:
        self.folder, self.results, self.cli = folder, folder / "results", cli
        self.attack = f"noted:folder={folder}"
        self.started: list[subprocess.Popen[str]] = []

    def unlucky(self, accident: str, times: int) -> str:
        """Return a defense that meets with an accident so many times from now on."""
        (self.folder / accident).write_text(str(times))
        return f"unlucky:accident={accident},folder={self.folder}"

    def cell(self, defense: str) -> list[str]:
        """Return the arguments of a matrix of one cell, without victims."""
        return ["--attacks", self.attack, "--defenses", defense, "--no-victims"]

    def run(self, *asked: object) -> Ran:
        """Run to the end, with the parent in this process and real workers."""
        return self.cli("run", *asked, *FIXED, "--results", self.results)

    def start(self, *asked: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a run of its own."""
        command = [sys.executable, "-m", "benchkit", "run", *asked, *FIXED, "--results", self.results]
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what was started and still runs."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def diary(self) -> Counter[str]:
        """Return how often each thing was done."""
        path = self.folder / "diary"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def until(self, words: str) -> None:
        """Wait until the diary holds a line."""
        deadline = time.monotonic() + 100
        while words not in self.diary():
            assert time.monotonic() < deadline, f"'{words}' never came"
            time.sleep(0.02)

    def leftovers(self) -> list[Path]:
        """Return what only an interrupted process leaves."""
        return [*self.results.rglob(".new-*"), *self.results.rglob("*.lock")]
