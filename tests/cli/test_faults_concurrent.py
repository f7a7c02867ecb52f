"""Many runs over one store, holders of locks that die or stop, and clocks that go back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time

import pytest
from fixture_types import Cli, RecordsIn
from places import Place, finish

BACK = """
import os, time

hours = float(os.environ.get("HOURS_BACK", "0"))
if hours:
    now, gmtime = time.time, time.gmtime
    time.time = lambda: now() - 3600 * hours
    time.gmtime = lambda seconds=None: gmtime(time.time() if seconds is None else seconds)
"""


def everything(place: Place) -> list[str]:
    sizes = ",".join(f"noted:size={size},folder={place.folder}" for size in (2, 3))
    return ["--attacks", f"none,{sizes}", "--defenses", f"unlucky:folder={place.folder}", "--quiet"]


def each_step_was_done_once(place: Place) -> bool:
    once = ["craft 2", "craft 3", "train 2", "train 3", "prepare "]
    return {name: place.diary()[name] for name in once} == dict.fromkeys(once, 1)


@pytest.mark.slow
def test_three_runs_over_one_store_train_each_victim_once_and_print_the_same(
    place: Place, records_in: RecordsIn
) -> None:
    executors = ["local", "inline", "local"]
    asked = [[*everything(place), "--jobs", "1", "--executor", executor] for executor in executors]
    ended = [finish(one) for one in [place.start(*words) for words in asked]]
    assert [code for code, _, _ in ended] == [0] * 3, ended
    assert len({out for _, out, _ in ended}) == 1
    assert all("Traceback" not in err for _, _, err in ended)
    assert each_step_was_done_once(place)
    assert [one["status"] for one in records_in(place.results)] == ["ok"] * 6
    assert not place.leftovers()


def stopped_worker(process: subprocess.Popen[str]) -> int:
    """Return the process of a run's session that SIGSTOP has stopped."""
    command = ["ps", "-o", "pid=,stat=", "-s", str(process.pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (pid,) = [int(pid) for pid, state in map(str.split, listed.splitlines()) if state.startswith("T")]
    return pid


def send(number: signal.Signals, *pids: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def later(number: signal.Signals, *pids: int) -> None:
    """Send a signal when a run that begins now waits."""
    threading.Timer(2, send, (number, *pids)).start()


@pytest.mark.slow
def test_a_run_that_waits_for_a_stopped_one_says_so_and_takes_over_when_it_is_killed(
    place: Place, records_in: RecordsIn
) -> None:
    asked = place.cell(place.unlucky("stop", 1))
    first = place.start(*asked)
    place.until("met stop")
    stopped = stopped_worker(first)
    ran = place.run(*asked, "--timeout", "7")
    assert ran.code == 1, ran.err
    holder = f"process {stopped} on {os.uname().nodename}"
    assert f"{holder} is doing it; if that hangs, end it" in ran.err
    assert f"stopped after 7 s of waiting for {holder}, which holds this step: end that process, or allow" in ran.err
    assert [one["status"] for one in records_in(place.results)] == ["timeout"]
    later(signal.SIGKILL, first.pid, stopped)
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    assert [one["status"] for one in records_in(place.results)] == ["ok"]
    assert place.diary()["craft 3"] == place.diary()["prepare stop"] == 1
    assert not place.leftovers()


@pytest.mark.slow
def test_a_worker_that_stops_and_goes_on_is_waited_for(place: Place) -> None:
    asked = place.cell(place.unlucky("stop", 1))
    first = place.start(*asked)
    place.until("met stop")
    later(signal.SIGCONT, stopped_worker(first))
    ran = place.run(*asked)
    code, out, err = finish(first)
    assert (ran.code, code) == (0, 0), ran.err + err
    assert ran.out == out
    assert place.diary()["met stop"] == place.diary()["survived stop"] == 1
    assert not place.leftovers()


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["worker", "parent", "both"])
def test_killed_in_the_middle_of_a_step_another_run_takes_it_over_at_once(
    place: Place, records_in: RecordsIn, whom: str
) -> None:
    asked = place.cell(place.unlucky("hang", 1))
    first = place.start(*asked)
    place.until("met hang")
    (lock,) = (place.results / "artifacts" / "locks").iterdir()
    worker = int(lock.read_text().split()[1])
    later(signal.SIGKILL, *{"worker": [worker], "parent": [first.pid], "both": [first.pid, worker]}[whom])
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    code, _, err = finish(first)
    assert code == (0 if whom == "worker" else -9), err
    assert [one["status"] for one in records_in(place.results)] == ["ok"]
    assert place.diary()["craft 3"] == place.diary()["prepare hang"] == 1
    assert place.diary()["survived hang"] == 0, "it waited for the step of a dead run"
    assert not place.leftovers()


@pytest.mark.slow
def test_a_clock_that_went_back_hides_no_newer_record_and_holds_no_lock(
    place: Place, benchkit_cli: Cli, records_in: RecordsIn
) -> None:
    site = place.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BACK)
    plugin = place.folder / "versions.py"
    plugin.write_text(VERSION.format(version=1, sign="+"))
    asked = ["--attacks", place.attack, "--defenses", "changing", "-p", plugin]
    assert place.run(*asked).code == 0
    locks = place.results / "artifacts" / "locks"
    for key in [path.name for path in (place.results / "artifacts").glob("*/*")]:
        (locks / f"{key[:32]}.lock").write_text("process 1 on elsewhere")
        os.utime(locks / f"{key[:32]}.lock", (time.time() + 1e6,) * 2)
    plugin.write_text(VERSION.format(version=2, sign="-"))
    code, _, err = finish(place.start(*asked, env={"PYTHONPATH": str(site), "HOURS_BACK": "50"}))
    assert code == 0, err
    assert " -" not in err
    records = [one for one in records_in(place.results) if one["defense"] == "changing"]
    assert [one["metrics"]["auroc"] > 0.5 for one in sorted(records, key=lambda one: one["finished"])] == [True, False]
    (shown,) = json.loads(benchkit_cli("report", "--results", place.results, "--format", "json").out)[1:]
    assert shown["defense"] == "changing"
    assert min(one["metrics"]["auroc"] for one in records) in _numbers(shown)
    assert not place.leftovers()


def _numbers(row: object) -> list[float]:
    """Return every number in nested JSON."""
    if isinstance(row, dict):
        return [number for value in row.values() for number in _numbers(value)]
    if isinstance(row, list):
        return [number for value in row for number in _numbers(value)]
    return [row] if isinstance(row, float) else []


VERSION = '''
from dataclasses import dataclass

import benchkit


@dataclass(frozen=True)
class Changing(benchkit.InputDetector):
    """Scores the corner's brightness, or darkness."""

    name = "changing"
    version = "{version}"

    def score(self, images, scene):
        return {sign}images[..., -3:, -3:].float().mean((1, 2, 3))


@benchkit.hookimpl
def benchkit_defenses():
    return [Changing]
'''
