"""Kill, interrupt: nothing is lost, nothing half-written, nothing done twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Comparable, RecordsIn
from once import once
from places import finish

TOY = Path(__file__).parents[1] / "toy.py"
KILLS = int(os.environ.get("BENCHKIT_KILLS", "3"))
ARGS = [
    "--attacks", "none,corner,badnets:size=3", "--defenses", "brightest,fine-tuning:epochs=2,spectral-signatures",
    "--dataset", "toy", "--recipe", "fast:epochs=2,batch=32", "-p", str(TOY), "--device", "cpu",
]  # fmt: skip
CELLS = 3 * 4


def start(results: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchkit", "run", *ARGS, "--results", str(results), *more]
    # A test run in the background ignores SIGINT, and so would its children.
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "start_new_session": True,
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    return subprocess.Popen(command, **(pipes | options))


def leftovers(results: Path) -> list[Path]:
    """Return files and folders that only an interrupted write leaves."""
    return list(results.rglob(".new-*"))


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return every process of the run's session but the parent."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split() if int(word) != process.pid]


@pytest.fixture(scope="session")
def undisturbed(shared_folder: Path, records_in: RecordsIn, comparable: Comparable) -> tuple[list[dict[str, Any]], str]:
    """Return (comparable records, stdout) of a run that nobody disturbed."""

    def make(folder: Path) -> None:
        code, out, err = finish(start(folder / "results"))
        assert code == 0, err
        (folder / "stdout").write_text(out)

    calm = once(shared_folder / "calm", make)
    records = [comparable(one) for one in records_in(calm / "results")]
    assert len(records) == CELLS
    return records, (calm / "stdout").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_points_and_restarted_it_ends_with_the_same_records(
    undisturbed: tuple[list[dict[str, Any]], str], tmp_path: Path, records_in: RecordsIn, comparable: Comparable
) -> None:
    rng, results = random.Random(20261120), tmp_path / "results"
    seen: dict[Path, int] = {}
    for _ in range(KILLS):
        process = start(results, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1, 12))
        victims = [[process.pid], [process.pid, *workers_of(process)]][rng.randrange(2)]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        # A kill between writing a manifest and renaming its folder leaves a `.new-…`: that step never finished.
        made = {path: path.stat().st_ino for path in (results / "artifacts").glob("*/[!.]*/manifest.json")}
        assert seen.items() <= made.items(), "a finished step was lost or done again"
        seen = made
    code, out, err = finish(start(results))
    assert code == 0, err
    assert [comparable(one) for one in records_in(results)] == undisturbed[0]
    assert out == undisturbed[1]
    assert not leftovers(results)


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_own_step(
    undisturbed: tuple[list[dict[str, Any]], str], tmp_path: Path, records_in: RecordsIn, comparable: Comparable
) -> None:
    results = tmp_path / "results"
    process = start(results)
    deadline = time.monotonic() + 100
    while not list((results / "artifacts" / "poison").glob("[!.]*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    # The youngest processes of the session are workers; the fork server and its tracker came first.
    os.kill(max(workers_of(process)), signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 0, err
    assert [comparable(one) for one in records_in(results)] == undisturbed[0]


class Watched:
    """A run whose stderr can be read while it goes on."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.results, self.log = folder / "results", folder / "stderr"
        with self.log.open("w") as file:
            self.process = start(self.results, *more, stdout=subprocess.DEVNULL, stderr=file)

    def until(self, words: str) -> None:
        """Wait until stderr holds these words."""
        deadline = time.monotonic() + 100
        while words not in self.log.read_text():
            assert time.monotonic() < deadline, f"'{words}' never came"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def press(self) -> None:
        """Press Ctrl-C, as a terminal does: every process of the group receives the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and stderr."""
        return self.process.wait(timeout=250), self.log.read_text()

    def nobody_is_left(self) -> bool:
        for _ in range(600):  # a busy machine takes its time
            if not workers_of(self.process):
                return True
            time.sleep(0.1)
        return False


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Return a function that starts a run and lets its stderr be watched; none outlives the test."""
    made = []

    def begin(*more: str) -> Watched:
        made.append(Watched(tmp_path, *more))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


@pytest.mark.slow
def test_interrupted_once_it_finishes_what_it_began_and_keeps_it(
    undisturbed: tuple[list[dict[str, Any]], str],
    watch: Callable[..., Watched],
    records_in: RecordsIn,
    comparable: Comparable,
) -> None:
    run = watch("--jobs", "2")
    run.until("poison badnets")
    run.press()
    code, err = run.ended()
    assert code == 130, err
    _, said, after = err.partition("finishing ")
    assert said, err
    steps = int(after.split()[0])
    assert steps in (1, 2)
    assert "press Ctrl-C again to stop at once" in after
    assert after.count("\n[") == steps, "not every step in flight was finished, or another was begun"
    assert "continues from there" in after
    assert "Traceback" not in err
    assert run.nobody_is_left()
    made = len(list((run.results / "artifacts").glob("*/[!.]*/manifest.json"))) + len(records_in(run.results))
    assert made == err.count("\n["), "a finished step was not kept"
    code, out, err = finish(start(run.results))
    assert code == 0, err
    assert out == undisturbed[1]
    assert [comparable(one) for one in records_in(run.results)] == undisturbed[0]


@pytest.mark.slow
def test_interrupted_twice_it_stops_at_once(watch: Callable[..., Watched]) -> None:
    run = watch("--attacks", "corner", "--defenses", "drop-all:after=600", "--no-victims", "--jobs", "1")
    run.until("load toy")
    time.sleep(1)  # the only step left is the one that sleeps
    run.press()
    run.until("finishing 1 step; press Ctrl-C again")
    run.press()
    code, err = run.ended()  # which the sleeping step, if it were waited for, would make too late
    assert code == 130, err
    assert "continues from there" in err
    assert "Traceback" not in err
    assert run.nobody_is_left()


@pytest.mark.slow
def test_interrupted_while_workers_start_nothing_breaks(watch: Callable[..., Watched]) -> None:
    run = watch()
    run.until("steps to run")
    time.sleep(0.3)
    run.press()
    code, err = run.ended()
    assert code == 130, err
    assert "continues from there" in err
    assert "Traceback" not in err
    assert "died" not in err
    assert run.nobody_is_left()


@pytest.mark.slow
def test_terminated_it_stops_at_once_and_leaves_no_process(watch: Callable[..., Watched]) -> None:
    run = watch()
    run.until("poison ")
    run.process.send_signal(signal.SIGTERM)
    code, err = run.ended()
    assert code == 143, err
    assert "continues from there" in err
    assert "finishing" not in err
    assert "Traceback" not in err
    assert run.nobody_is_left()


def test_a_read_only_folder_is_one_sentence(mounted: Callable[..., Path], benchkit_cli: Cli) -> None:
    ran = benchkit_cli("run", *ARGS, "--results", mounted("ro") / "results")
    assert ran.code == 2
    assert "read-only" in ran.err
    assert "Traceback" not in ran.err
