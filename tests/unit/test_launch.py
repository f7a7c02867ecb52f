"""What a worker process finds when torch wakes up in it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchkit.execute.executors.launch import before_torch, masked, starting
from benchkit.execute.executors.local import PRELOAD
from benchkit.execute.executors.ray_cluster import showing

SPY = """
import importlib, torch
for module, name in ((torch._C, "_cuda_getDeviceCount"), (torch.cuda, "is_available"), (torch.cuda, "device_count"),
                     (torch.cuda, "_lazy_init")):
    def refuse(*given, name=name): raise SystemExit(f"{name} was called")
    setattr(module, name, refuse)
for name in %r: importlib.import_module(name)
"""


@pytest.mark.parametrize(
    ("device", "mask", "seen"),
    [
        ("cuda:0", None, "0"),
        ("cuda:2", None, "2"),
        ("cuda", None, "0"),
        ("cuda:0", "3", "3"),
        ("cuda:1", "5, 7", "7"),
        ("cuda:1", "GPU-0a1b,MIG-2c3d", "MIG-2c3d"),
        ("cuda:1", "", "1"),
    ],
)
def test_a_worker_gets_one_of_the_gpus_that_the_run_was_given(device: str, mask: str | None, seen: str) -> None:
    assert masked(device, mask) == seen


@pytest.mark.parametrize(
    ("devices", "mask", "seen"),
    [
        (["cuda:1"], None, "1"),
        (["cuda:0", "cuda:2"], "4,5,6", "4,6"),
        (["cuda"], "4,5", "4,5"),
        (["cuda"], None, None),
        (["cpu"], "", ""),
    ],
)
def test_a_ray_of_our_own_is_shown_the_gpus_that_were_named(
    devices: list[str], mask: str | None, seen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if mask is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    with showing(devices):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == seen
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == mask


def test_cuda_sleeps_in_the_server_that_workers_are_forked_from() -> None:
    # A process forked after CUDA has woken up cannot use it.
    ran = subprocess.run([sys.executable, "-c", SPY % PRELOAD], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    before_torch(3)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    before_torch(3)
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"


def test_threads_do_not_wait_for_long_unless_the_user_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with starting(2):
        assert "GOMP_SPINCOUNT" not in os.environ, "it would outvote the policy"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    with starting(2):
        assert os.environ["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    with starting(2):
        assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.undo()
    assert os.environ == before
