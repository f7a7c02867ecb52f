"""The server that workers are forked from dies: the run says so, tries again, and goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Never

import pytest
from fixture_types import Cli, RecordsIn
from places import Place

from benchkit.execute.executors.launch import starting
from benchkit.execute.executors.local import LocalExecutor

SERVER = "the server that workers are forked from died"


def servers() -> list[int]:
    """Return the fork servers that this process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, stat = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:
            continue
        if b"multiprocessing.forkserver" in words and stat.rpartition(")")[2].split()[1] == str(os.getpid()):
            found.append(int(folder.name))
    return found


def served() -> int:
    """Return the one fork server, which is started where there is none."""
    with starting(1):
        LocalExecutor(["cpu"], {"results": "."}).close()
    (pid,) = servers()
    return pid


def waits_for_a_worker() -> bool:
    """Say whether the main thread waits until a process is forked for it."""
    frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
    while frame is not None:
        if frame.f_code.co_name == "read_signed":
            return True
        frame = frame.f_back
    return False


@pytest.fixture
def dying() -> Iterator[None]:
    """Let the server die while the first worker starts."""

    def kill() -> None:
        until = time.monotonic() + 100
        while not waits_for_a_worker() and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)

    pid = served()
    os.kill(pid, signal.SIGSTOP)
    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


@pytest.mark.usefixtures("dying")
def test_it_is_tried_again(place: Place, records_in: RecordsIn) -> None:
    ran = place.run(*place.cell("brightest"))
    assert ran.code == 0, ran.err
    assert ran.err.count(f"lost: load toy: {SERVER} while a worker started") == 1
    assert "interrupted" not in ran.err
    assert [one["status"] for one in records_in(place.results)] == ["ok"]


@pytest.mark.usefixtures("dying")
def test_without_retries_it_is_an_error_that_says_what_died(place: Place) -> None:
    ran = place.run(*place.cell("brightest"), "--retries", "0")
    assert ran.code == 2
    assert ran.err.endswith(f"error: could not load toy: {SERVER} while a worker started\n")


def test_a_step_whose_worker_lost_its_server_is_done_again(place: Place, records_in: RecordsIn) -> None:
    asked = place.cell(place.unlucky("nap", 1))

    def kill() -> None:
        place.until("met nap")
        os.kill(pid, signal.SIGKILL)

    pid = served()
    thread = threading.Thread(target=kill)
    thread.start()
    ran = place.run(*asked, "--timeout", "100")
    thread.join()
    assert ran.code == 0, ran.err
    assert SERVER in ran.err
    assert [one["status"] for one in records_in(place.results)] == ["ok"]


def test_the_end_of_what_a_command_reads_is_no_interruption(benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*args: object, **options: object) -> Never:
        raise EOFError

    monkeypatch.setattr("benchkit.spec.registry.find", ended)
    with pytest.raises(RuntimeError, match="ended before all of it was read"):
        benchkit_cli("plugins")
