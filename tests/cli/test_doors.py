"""What lies in the current folder is never run, and nothing that a run needs for itself outlives it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import Place

from benchkit.execute.executors.scratch import FALLBACK
from benchkit.store.locks import claim

BENCHKIT = Path(sys.executable).parent / "benchkit"
TOY = Path(__file__).parents[1] / "toy.py"
SHADOWS = (
    "torch", "signal", "multiprocessing", "json", "select", "click", "numpy", "sklearn", "timm", "safetensors", "PIL",
    "pickle", "socket", "subprocess", "tempfile", "benchkit", "benchkit_plugins", "toy",
)  # fmt: skip
MATRIX = ("--attacks", "corner", "--defenses", "brightest", "--no-victims", "--dataset", "toy", "-p", TOY)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a folder of Python files with the names of modules, each of which leaves a mark when it is run."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r} + chr(10))\n")
    return folder


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Yield an empty folder for temporary files, with a short name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def empty(folder: Path) -> bool:
    """Say whether a folder becomes empty soon."""
    until = time.monotonic() + 60
    while any(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(folder.iterdir())


@pytest.mark.parametrize(
    ("command", "below"),
    [([BENCHKIT], ""), ([sys.executable, "-P", "-m", "benchkit"], "x" * 80)],
    ids=["script", "module, with a long TMPDIR"],
)
def test_a_run_in_a_hostile_folder_runs_none_of_its_files_and_leaves_nothing(
    hostile: Path, temporary: Path, command: list[str | Path], below: str
) -> None:
    temporary = temporary / below
    temporary.mkdir(exist_ok=True)
    asked = [*command, "run", *MATRIX, "--results", "r", "--device", "cpu", "--jobs", "2"]
    env = {**os.environ, "TMPDIR": str(temporary)}
    ran = subprocess.run(
        [*map(str, asked)], cwd=hostile, env=env, capture_output=True, text=True, umask=0o002, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not (hostile.parent / "mark").exists()
    assert empty(temporary), list(temporary.iterdir())
    made = [path for path in (hostile / "r").rglob("*") if "locks" not in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o775, 0o664}


def test_neither_completion_nor_the_list_of_plugins_runs_them(hostile: Path) -> None:
    asked = {"_BENCHKIT_COMPLETE": "bash_complete", "COMP_WORDS": "benchkit\nrun\n--attacks\nbad", "COMP_CWORD": "3"}
    for command, env in (((BENCHKIT,), asked), ((BENCHKIT, "plugins"), {}), ((BENCHKIT, "show", "badnets"), {})):
        whole = {**os.environ, **env}
        ran = subprocess.run(command, cwd=hostile, env=whole, capture_output=True, text=True, check=False)
        assert "badnets" in ran.stdout
    assert not (hostile.parent / "mark").exists()


def test_module_mode_looks_into_the_current_folder_no_longer_than_python_makes_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('run')")
    (tmp_path / "benchkit_evil.py").write_text("raise SystemExit('run')")
    info = tmp_path / "evil-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: evil\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[benchkit]\nevil = benchkit_evil\n")
    command = [sys.executable, "-m", "benchkit", "plugins", "--check"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, "evil" in ran.stdout + ran.stderr) == (0, False), ran.stderr


def scratch_of(pid: int, where: Path) -> list[Path]:
    return [*where.glob(f"bk-{claim(pid)}-*")]


@pytest.mark.parametrize("below", ["", "x" * 80])
def test_what_a_killed_run_left_goes_with_its_server(place: Place, temporary: Path, below: str) -> None:
    temporary = temporary / below
    temporary.mkdir(exist_ok=True)
    process = place.start(*place.cell(place.unlucky("nap", 9)), env={"TMPDIR": str(temporary)})
    place.until("met nap")
    assert [*temporary.iterdir()] == scratch_of(process.pid, temporary)
    assert len(scratch_of(process.pid, FALLBACK)) == bool(below)
    process.kill()
    process.wait()
    assert empty(temporary)
    until = time.monotonic() + 60
    while (left := scratch_of(process.pid, FALLBACK)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def test_what_nobody_could_remove_goes_with_the_next_run(temporary: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    env = {"TMPDIR": str(temporary)}
    dead = temporary / f"bk-{claim(gone.pid)}-x"
    (dead / "pymp-1").mkdir(parents=True)
    alive = temporary / f"bk-{claim(os.getpid())}-x"
    alive.mkdir()
    code = "from benchkit.execute.executors.scratch import scratch; print(scratch().is_dir())"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    assert ran.stdout == "True\n"
    assert [*temporary.iterdir()] == [alive]


def test_a_link_in_place_of_a_scratch_folder_is_removed_and_not_followed(tmp_path: Path, temporary: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.send_signal(signal.SIGKILL)
    gone.wait()
    (temporary / f"bk-{claim(gone.pid)}-x").symlink_to(kept)
    code = "from benchkit.execute.executors.scratch import scratch; scratch()"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(temporary)}, check=True)
    assert [*temporary.iterdir()] == []
    assert (kept / "file").exists()
