"""Ray: a cluster of several nodes on this machine, one of which dies, gives the records of a local run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixture_types import Comparable, RecordsIn
from places import finish

from benchkit.errors import SpecError

ray = pytest.importorskip("ray", reason="needs benchkit[ray]")

from benchkit.execute.executors.ray import RayExecutor  # noqa: E402
from benchkit.execute.executors.ray_cluster import disconnect  # noqa: E402

pytestmark = pytest.mark.slow

TOY = Path(__file__).parents[1] / "toy.py"
FIXED = ["--dataset", "toy", "--recipe", "fast:epochs=4,batch=32", "-p", str(TOY), "--device", "cpu"]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
SNAG = '''
"""A detector that meets with an accident the first time that anybody uses it."""

import os, time
from dataclasses import dataclass
from pathlib import Path

import torch, benchkit


@dataclass(frozen=True)
class Snag(benchkit.InputDetector):
    """Scores the corner's brightness, after it slept or died."""

    name = "snag"
    folder: str = benchkit.param("", "where it remembers")
    mode: str = benchkit.param("", "the accident", choices=("", "sleep", "die"))

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        try:
            with (Path(self.folder) / self.mode).open("x") as file:
                file.write(f"{os.getpid()} {os.getppid()} {torch.get_num_threads()} {os.environ['OMP_NUM_THREADS']}\\n")
        except FileExistsError:
            return images[..., -3:, -3:].float().mean((1, 2, 3))
        time.sleep(300) if self.mode == "sleep" else os._exit(3)


@benchkit.hookimpl
def benchkit_defenses():
    return [Snag]
'''


def start(results: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchkit", "run", *FIXED, "--results", results, *more]
    words = list(map(str, command))
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(ready: Callable[[], object]) -> None:
    """Wait for something, for as long as a busy machine may need."""
    deadline = time.monotonic() + 100
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a cluster whose head runs no steps, in a folder with a short name, because sockets live there."""
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    (folder / "ray").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args=head)
    processes = []
    yield made
    for node in made.list_all_nodes():
        processes += [one.process for kind in node.all_processes.values() for one in kind]
    made.shutdown()
    for process in processes:
        process.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short() -> Iterator[Path]:
    """Yield an empty folder whose name leaves room for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def add(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, str, str], list[object], Path]:
    """Return (results folder, what the run did, its matrix, where accidents are noted) of a local run without any."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "snag.py").write_text(SNAG)
    snags = ",".join(f"snag:mode={mode},folder={folder}" for mode in ("sleep", "die"))
    matrix = ["--attacks", "none,corner", "--defenses", f"brightest,{snags}", "-p", folder / "snag.py"]
    for mode in ("sleep", "die"):
        (folder / mode).touch()
    ran = finish(start(folder / "results", *matrix, "--jobs", "2"))
    for mode in ("sleep", "die"):
        (folder / mode).unlink()
    return folder / "results", ran, matrix, folder


def test_a_node_and_a_worker_that_die_cost_only_their_own_steps(
    calm: tuple[Path, tuple[int, str, str], list[object], Path],
    cluster: Any,
    tmp_path: Path,
    records_in: RecordsIn,
    comparable: Comparable,
) -> None:
    results, expected, matrix, flags = calm
    nodes = [add(cluster), add(cluster)]
    running = start(tmp_path, *matrix, "--executor", "ray", "--ray-address", cluster.address)
    until(lambda: (flags / "sleep").exists() and (flags / "sleep").read_text().endswith("\n"))
    _, raylet, threads, omp = map(int, (flags / "sleep").read_text().split())
    (victim,) = [one for one in nodes if one.all_processes["raylet"][0].process.pid == raylet]
    cluster.remove_node(victim, allow_graceful=False)
    add(cluster)
    code, out, err = finish(running)

    assert (expected[0], code) == (0, 0), err
    assert (threads, omp) == (1, 1)
    assert out == expected[1]
    records = [[comparable(one) for one in records_in(where)] for where in (results, tmp_path)]
    assert records[0] == records[1]
    assert len(records[1]) == 8
    assert sorted(re.findall(r"^lost: .* by snag:\S*mode=(\w+)", err, re.MULTILINE)) == ["die", "sleep"]
    ended = re.findall(r"^\[\d+/\d+\] (.*)  [\d.]+ s$", err, re.MULTILINE)
    assert sorted(ended) == sorted(re.findall(r"^\[\d+/\d+\] (.*)  [\d.]+ s$", expected[2], re.MULTILINE))
    assert len(ended) == len(set(ended))
    assert "raylet" not in out + err
    assert not list((tmp_path / "artifacts").glob(".new-*"))


def test_a_ray_of_its_own_stops_what_takes_too_long_and_leaves_nothing_behind(
    calm: tuple[Path, tuple[int, str, str], list[object], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    short: Path,
) -> None:
    shutil.copytree(calm[0], tmp_path, dirs_exist_ok=True)
    more = ["--attacks", "corner", "--defenses", "drop-all:after=600", "--timeout", "15", "--jobs", "1"]
    monkeypatch.setenv("TMPDIR", str(short))
    code, _, err = finish(start(tmp_path, *more, "--executor", "ray"))
    assert code == 1, err
    assert "timeout: corner x drop-all:after=600" in err
    assert "stopped after 15 s: allow more with --timeout" in err
    assert "Traceback" not in err
    assert not list(short.iterdir())


def test_a_ray_of_its_own_runs_no_file_of_the_current_folder(tmp_path: Path, records_in: RecordsIn) -> None:
    for name in ("torch", "signal", "json", "benchkit", "numpy", "psutil", "yaml", "default_worker"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})\n")
    (tmp_path / "snag.py").write_text(SNAG)
    (tmp_path / "sleep").touch()  # found in the current folder, it keeps the detector from sleeping
    asked = ["run", *FIXED, "-p", "snag.py", "--attacks", "corner", "--defenses", "snag:mode=sleep,folder=."]
    asked += ["--no-victims", "--threads", "2", "--timeout", "100"]
    command = [sys.executable, "-P", "-m", "benchkit", *asked, "--executor", "ray", "--results", "r"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "mark").exists()
    assert [one["threads"] for one in records_in(tmp_path / "r")] == [2]


def test_a_node_that_does_not_see_the_results_folder_is_named(cluster: Any, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    hidden = f"mount -t tmpfs tmpfs {results} && exec {sys.executable} -m ray.scripts.scripts start --block"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("hiding a folder from a process needs privileges")
    options = f" --address {cluster.address} --num-cpus 1 --object-store-memory {80 * 2**20}"
    node = subprocess.Popen(["unshare", "-m", "sh", "-c", hidden + options], stdout=subprocess.DEVNULL)
    try:
        ended = finish(start(results, "--attacks", "none", "--executor", "ray", "--ray-address", cluster.address))
    finally:
        node.terminate()
        node.wait(60)
    assert ended[0] == 2, ended
    assert re.search(rf"error: node \S+ cannot see the results folder {results}: put it on a path all nodes", ended[2])
    assert "Traceback" not in ended[2]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "there is no Ray cluster to use at --ray-address '127.0.0.1:9': .*refused"),
        ("ray://here:1", "is not auto or HOST:PORT: start the run on one of the nodes"),
        ("here", "is not auto or HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(tmp_path: Path, address: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        RayExecutor({"results": tmp_path}, address)


def test_what_ray_kept_back_until_the_end_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    disconnect(SimpleNamespace(shutdown=lambda: print("(raylet) a node died [repeated 3x across cluster]")))
    assert capsys.readouterr() == ("", "")


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install 'benchkit\[ray\]'"):
        RayExecutor({"results": tmp_path})
