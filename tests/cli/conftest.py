"""Fixtures of several test modules: a place with a diary and accidents, small disks, and folders to scan."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scanned_models import network, normalised, scanner

TESTS = Path(__file__).parents[1]
FIXED = [
    "--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "--device", "cpu",
    "-p", str(TESTS / "toy.py"), "-p", str(TESTS / "accidents.py"),
]  # fmt: skip


class Place:
    """One results folder, the runs over it, and the folder in which the plugins of accidents.py keep their diary."""

    def __init__(self, folder: Path, cli: Callable) -> None:
        self.folder, self.results, self.cli = folder, folder / "results", cli
        self.attack = f"noted:folder={folder}"
        self.started: list[subprocess.Popen] = []

    def unlucky(self, accident: str, times: int) -> str:
        """Return a defense that meets with an accident so many times from now on."""
        (self.folder / accident).write_text(str(times))
        return f"unlucky:accident={accident},folder={self.folder}"

    def cell(self, defense: str) -> list[str]:
        """Return the arguments of a matrix of one cell, without victims."""
        return ["--attacks", self.attack, "--defenses", defense, "--no-victims"]

    def run(self, *asked: object):
        """Run to the end, with the parent in this process and real workers."""
        return self.cli("run", *asked, *FIXED, "--results", self.results)

    def start(self, *asked: object, env: dict[str, str] | None = None) -> subprocess.Popen:
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


@pytest.fixture
def place(tmp_path: Path, benchkit_cli: Callable) -> Iterator[Place]:
    """Return an empty place; no run outlives the test."""
    made = Place(tmp_path, benchkit_cli)
    yield made
    made.end()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts a small tmpfs with these options somewhere; it is unmounted afterwards."""
    mounts = []

    def make(options: str, where: Path | None = None) -> Path:
        mount = where or tmp_path / "mount"
        mount.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a tmpfs needs privileges")
        mounts.append(mount)
        return mount

    yield make
    for mount in mounts:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def remount() -> Callable[[Path, str], None]:
    """Return a function that changes the options of a mounted file system."""

    def change(mount: Path, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(mount)], check=True)

    return change


@pytest.fixture
def scan_images(benchkit_cli: Callable, tmp_path: Path) -> Callable:
    """Return a function that scans with the toy plugins; brightest by default."""

    def run(path: Path, *args: object, defense: str = "brightest", clean: str | None = "toy"):
        toy, results = TESTS / "toy.py", tmp_path / "results"
        fixed = ["--defense", defense, "--device", "cpu", "-p", toy, "--results", results, "--jobs", 1]
        return benchkit_cli("scan", "images", path, *fixed, *(["--clean", clean] if clean else []), *args)

    return run


@pytest.fixture
def stamped_folder(tmp_path: Path) -> Path:
    """Return a folder of thirty dark images, three of them with a bright corner, some in folders."""
    from sample_pictures import cornered

    root = tmp_path / "mine"
    (root / "a" / "b").mkdir(parents=True)
    for number in range(30):
        where = (root, root / "a", root / "a" / "b")[number % 3]
        image = cornered(corner=(200, 220, 240)[number // 10] if number % 10 == 7 else None)
        image.save(where / f"{number:02d}.png")
    return root


@pytest.fixture
def scan_model(benchkit_cli: Callable, tmp_path: Path) -> Callable:
    """Return a function that scans weights, or a file of them."""
    return scanner(benchkit_cli, tmp_path)


@pytest.fixture
def our_weights() -> dict[str, Any]:
    """What benchkit saves of a narrownet that knows the toy images."""
    return normalised(network()).state()


@pytest.fixture
def plain_weights() -> dict[str, Any]:
    """The state dict of the same network, without its normalisation."""
    return {name: value.contiguous() for name, value in network().state_dict().items()}
