"""A worker process: receives jobs as JSON, runs them one after the other, sends back what became of them."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchkit.contracts.data import Source
from benchkit.errors import BenchkitError, ContractError, DataError, DeviceError, SpecError, StoreError
from benchkit.plan.job import Job
from benchkit.spec.installed import PluginInfo
from benchkit.spec.registry import load
from benchkit.stages.cost import Meter
from benchkit.stages.run import run_step
from benchkit.stages.workspace import Workspace
from benchkit.store.store import Damaged, Store
from benchkit.text import shortened

FATAL = (SpecError, DataError, StoreError, DeviceError)
TRACE = 20_000
"""Characters of a traceback that a record keeps."""
DEVICE_FULL = re.compile(r"CUDA error: out of memory|CU\w+_STATUS_ALLOC_FAILED")
HOST_FULL = re.compile(r"can't allocate memory|Cannot allocate memory|not enough memory")
"""How torch says that memory ran out where it has no exception of its own for it."""


def main(connection: Connection, setup: Mapping[str, Any]) -> None:
    """Serve jobs until the connection closes."""
    # Ctrl-C reaches the whole process group; the parent decides what happens to workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_run(connection)
    os.register_at_fork(after_in_child=partial(_leave, connection))
    torch.set_num_threads(setup["threads"])
    workspace = None
    while True:
        try:
            job = Job.from_json(json.loads(connection.recv_bytes()))
        except (EOFError, OSError):
            return
        try:
            workspace = workspace or make_workspace(setup)
            answer = {**outcome_of(workspace, job), "free_device_mb": free_device_mb(workspace.device)}
        except BenchkitError as error:
            answer = {"state": "fatal", "error": str(error)}
        connection.send_bytes(json.dumps(answer).encode())


def make_workspace(setup: Mapping[str, Any]) -> Workspace:
    """Load the plugins that the run names, and open the store, in this process."""
    device = torch.device("cuda" if setup["device"].startswith("cuda") else setup["device"])
    source = Source(Path(setup["data_root"]), setup["download"])
    registry = load(setup["plugin_files"], [PluginInfo(**one) for one in setup["plugins"]])
    return Workspace(Store(Path(setup["results"])), registry, device, source)


def outcome_of(workspace: Workspace, job: Job, ends: tuple[type[BaseException], ...] = ()) -> dict[str, Any]:
    """Run one step; every exception becomes a value, except those that end the run."""
    meter = Meter(workspace.device)
    try:
        with meter:
            return {"state": "done", "value": run_step(workspace, job)}
    except Damaged as damage:
        return {"state": "damaged", "value": {"stage": damage.stage, "key": damage.key}, "error": str(damage)}
    except FATAL as error:
        return {"state": "fatal", "error": str(error)}
    except ends:
        raise
    except BaseException as error:  # no signal of ours raises anything here: whatever it is, a plugin raised it
        if short := memory_short(error):
            return {"state": "oom", "error": short, "cost": meter.cost}
        return {
            "state": "error",
            "error": _sentence(job, error),
            "trace": shortened(traceback.format_exc(), TRACE),
            "cost": meter.cost,
        }


def memory_short(error: BaseException) -> str:
    """Return in one sentence that memory ran out, if that is what an exception says; "" otherwise."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and DEVICE_FULL.search(text)):
        return "out of memory on the device: use fewer slots or a smaller model"
    kernel = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or kernel or (isinstance(error, RuntimeError) and HOST_FULL.search(text)):
        return "out of memory on this machine: use fewer --jobs"
    return ""


def free_device_mb(device: torch.device) -> float | None:
    """Give back what this process only keeps in reserve on a GPU, and return what is free there (MiB).

    None on a CPU, and on a GPU that no longer works for this process.
    """
    if device.type != "cuda":
        return None
    with suppress(RuntimeError):  # after an illegal access or a failed assertion every call raises
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        return float(torch.cuda.mem_get_info(device)[0]) / 2**20
    return None


def _sentence(job: Job, error: BaseException) -> str:
    """Return one line that says what failed; a plugin's own exception names its type and place."""
    text = shortened(" ".join(str(error).split())) or "no message"
    if isinstance(error, ContractError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{job.stage} raised {type(error).__name__}: {text}{place}"


def _leave(connection: Connection) -> None:
    # What a plugin forked must not keep the pipe open when its worker has died, nor go on without it.
    connection.close()
    _die_with(os.getppid())


def _die_with_run(connection: Connection) -> None:
    """End this process when the other end of its connection is gone: the run, whose child it is not."""
    gone = select.poll()
    gone.register(connection.fileno(), 0)  # nothing but the hang-up, which is always told

    def watch() -> None:
        # A worker that outlived its run would keep its step from the next one.
        gone.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _die_with(parent: int) -> None:
    """End this process when its parent has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
