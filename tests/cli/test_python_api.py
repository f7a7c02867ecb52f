"""benchkit.run from scripts without a guard, event loops, threads and notebooks that are interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import benchkit
from benchkit.errors import DataError, NothingToRun, SpecError

TOY = Path(__file__).parents[1] / "toy.py"
HEARING: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
"""A test run in the background ignores SIGINT, and so would its children."""
HEAD = f"""
import json, sys, benchkit
fixed = dict(datasets="toy", models="narrownet", recipe="fast:epochs=1,batch=32", device="cpu", jobs=1,
             plugins=[{str(TOY)!r}], results=sys.argv[1])
"""
PLAIN = f"""{HEAD}
print("main", file=sys.stderr)
found = benchkit.run(attacks=["corner", "none"], defenses="brightest", victims=False, **fixed)
print(json.dumps([[one.attack, one.defense, one.status] for one in found]))
"""
ELSEWHERE = f"""{HEAD}
import asyncio, threading

async def cell(defense):
    await asyncio.sleep(0)
    return benchkit.run(attacks="corner", defenses=defense, victims=False, **fixed)

found = [*asyncio.run(cell("brightest"))]
thread = threading.Thread(target=lambda: found.extend(
    benchkit.run(attacks="corner", defenses=["brightest:mode=raise", "brightest:mode=model"], victims=False, **fixed)))
thread.start(); thread.join()
import torch
torch.set_num_threads(2)
benchkit.run(attacks="none", defenses="brightest", victims=False, threads=1, executor="inline", **fixed)
assert torch.get_num_threads() == 2
print(json.dumps([[one.attack, one.defense, one.status] for one in found]))
"""
SLOW = f"""{HEAD}
print("begun", flush=True)
try:
    benchkit.run(attacks="corner", defenses="drop-all:after=600", victims=False, **fixed)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def python(*words: str, text: str | None = None) -> tuple[list[list[str]], str]:
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, input=text, check=False, timeout=200)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), ran.stderr


def until_a_cell_is_begun(results: Path) -> None:
    """Wait until a lock is held after the data is there."""
    deadline = time.monotonic() + 100
    while not ([*results.glob("artifacts/data/*/manifest.json")] and [*results.glob("artifacts/locks/*.lock")]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)


@pytest.mark.parametrize("how", ["file", *(pytest.param(how, marks=pytest.mark.slow) for how in ("-c", "-"))])
def test_a_script_needs_no_guard_and_runs_once(tmp_path: Path, how: str) -> None:
    (tmp_path / "script.py").write_text(PLAIN)
    words = {"file": [str(tmp_path / "script.py")], "-c": ["-c", PLAIN], "-": ["-"]}[how]
    found, err = python(*words, str(tmp_path / "results"), text=PLAIN if how == "-" else None)
    assert found == [[attack, "brightest", "ok"] for attack in ("corner", "none")]
    assert err == "main\n"


def test_it_runs_in_an_event_loop_and_in_a_thread_and_hands_over_what_failed(tmp_path: Path) -> None:
    found, err = python("-c", ELSEWHERE, str(tmp_path / "results"))
    assert found == [
        ["corner", "brightest", "ok"],
        ["corner", "brightest:mode=model", "skipped"],
        ["corner", "brightest:mode=raise", "skipped"],
    ]
    assert "the detector fell over" in err


@pytest.mark.slow
def test_interrupted_twice_it_raises_at_once_and_leaves_the_store_clean(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **HEARING,
    ) as process:
        try:
            until_a_cell_is_begun(results)
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(1.5)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "begun\ninterrupted\n"), err
    assert "press Ctrl-C again to stop at once" in err
    assert not [*results.rglob(".new-*"), *results.rglob("*.lock"), *results.glob("results/**/*.json")]


def test_components_are_their_text_and_unknown_classes_are_refused(tmp_path: Path) -> None:
    from dataclasses import dataclass

    from benchkit_plugins.attacks.badnets import BadNets

    @dataclass(frozen=True)
    class Impostor(BadNets):
        """A class that no plugin offers, under the name of one that a plugin does."""

    given: dict[str, Any] = {"defenses": [], "results": tmp_path, "device": "cpu"}
    with pytest.raises(SpecError, match="Impostor is not the attack that plugins call 'badnets'"):
        benchkit.run(attacks=["none", Impostor()], **given)
    with pytest.raises(DataError, match="cifar10"):
        benchkit.run(attacks=[BadNets(size=5)], datasets="cifar10", data_root=tmp_path, **given)


def test_errors_are_raised_and_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="nothing was asked for"):
        benchkit.run(results=tmp_path)
    with pytest.raises(SpecError, match="did you mean 'badnets'"):
        benchkit.run(attacks="badnet", results=tmp_path)
    with pytest.raises(SpecError, match="there is no suite file"):
        benchkit.run(suite=tmp_path / "none.toml", results=tmp_path)
    with pytest.raises(NothingToRun):
        benchkit.run(attacks="none,-none", results=tmp_path)
    assert capsys.readouterr().err == ""
    assert not [*tmp_path.iterdir()]
