"""What surrounds a Ray cluster: the connection to one, and the actor that works on its nodes; torch-free."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import benchkit
from benchkit.errors import BenchkitError, SpecError
from benchkit.execute.executors.launch import before_torch, cores, masked
from benchkit.execute.executors.scratch import for_sockets
from benchkit.plan.job import Job
from benchkit.store.locks import unfinished

if TYPE_CHECKING:
    from benchkit.stages.workspace import Workspace

OBJECT_STORE = 80 * 2**20
"""Bytes of shared memory that a Ray of our own reserves: the least it accepts, as only JSON travels through it."""
ROOM = 40
"""Bytes that the folder may have in which Ray makes that of a session, with sockets in it."""
PATIENCE = 5.0
"""Seconds after which a network file system must show a file that another node has made."""
ENVIRONMENT = {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""No process of Ray's looks for modules in its current folder. Ray tells nobody that it was used, and
leaves CUDA_VISIBLE_DEVICES to those who ask for no GPU."""


class RayWorker:
    """What an actor runs: one workspace, kept between jobs. Strings travel, never tensors."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        before_torch(setup["threads"])  # Ray has set CUDA_VISIBLE_DEVICES already
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", setup["marker"])
        with suppress(OSError):  # this node may lack it; no modules are looked for there
            os.chdir(setup["folder"])
        self.setup = setup
        self._bench: Workspace | None = None

    def hello(self) -> dict[str, str]:
        """Return this node's name, its benchkit's version, and "yes" if it sees the marker file."""
        until = time.monotonic() + PATIENCE
        while not (seen := Path(self.setup["marker"]).exists()) and time.monotonic() < until:
            time.sleep(0.1)
        return {"node": platform.node(), "version": benchkit.__version__, "shared": "yes" if seen else ""}

    def run(self, job: str) -> str:
        """Run one job (JSON) and return what became of it (JSON)."""
        from benchkit.execute.executors.worker import free_device_mb, outcome_of

        try:
            workspace = self._bench = self._bench or self._open()
        except BenchkitError as error:
            return json.dumps({"state": "fatal", "error": f"on node {platform.node()}: {error}"})
        return json.dumps(
            {
                **outcome_of(workspace, Job.from_json(json.loads(job))),
                "free_device_mb": free_device_mb(workspace.device),
            }
        )

    def _open(self) -> Workspace:
        import torch

        from benchkit.execute.executors.worker import make_workspace

        torch.set_num_threads(self.setup["threads"])
        return make_workspace(self.setup)


class WithoutRay(io.TextIOBase):
    """A stdout without what Ray's own threads print there: pages about every node that died."""

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout

    def write(self, text: str) -> int:
        """Pass a text on, unless Ray wrote it."""
        return len(text) if threading.current_thread().name.startswith("ray_") else self.stdout.write(text)

    def flush(self) -> None:
        """Pass on what is kept back."""
        self.stdout.flush()

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self.stdout.isatty()


def connected(address: str | None, devices: Sequence[str]) -> Any:
    """Return the ray module, connected to the cluster at this address or to a new one on this machine.

    A new one is told of no GPU but those that are named. Ray has every worker look for modules in the folder in which
    it is connected first: that is one that nobody else writes to.
    """
    for name, value in ENVIRONMENT.items():
        os.environ[name] = os.environ.get(name) or value
    folder = str(for_sockets(ROOM))
    try:
        import ray
    except ImportError:
        raise SpecError("--executor ray needs Ray: pip install 'benchkit[ray]'") from None
    if address and address != "auto":
        _reach(address)
    ours: dict[str, Any] = {"num_cpus": cores(), "object_store_memory": OBJECT_STORE, "_temp_dir": folder}
    ours |= {"include_dashboard": False} | ({"num_gpus": 0} if devices[0] == "cpu" else {})
    try:
        with _own_sigterm(), showing([] if address else devices), chdir(folder):
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **({} if address else ours))
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        if not address:
            raise BenchkitError(f"Ray does not start on this machine: {cause(error)}") from None
        raise SpecError(f"there is no Ray cluster to use at --ray-address '{address}': {cause(error)}") from None
    return ray


def disconnect(ray: Any) -> None:
    """Leave the cluster, and stop Ray if it is ours; what it kept back to say is not said."""
    with redirect_stdout(io.StringIO()):
        ray.shutdown()


def _reach(address: str) -> None:
    """Make sure that something listens there, because Ray would go on trying for many minutes.

    Raises:
        SpecError: when it does not.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        raise SpecError(f"--ray-address '{address}' is not auto or HOST:PORT: start the run on one of the nodes")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise SpecError(f"there is no Ray cluster to use at --ray-address '{address}': {error}") from None


@contextmanager
def showing(devices: Sequence[str]) -> Iterator[None]:
    """Let processes that start meanwhile see the GPUs alone that are named ``cuda:N``, if any is."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [masked(device, before) for device in devices if ":" in device]
    if named:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(named)
    try:
        yield
    finally:
        if named and before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        elif named:
            os.environ["CUDA_VISIBLE_DEVICES"] = before or ""


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep our SIGTERM handler, which Ray replaces with one that ends the process at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def marker(results: Path) -> Iterator[Path]:
    """Make a folder by which a node knows that it sees the same results folder, and in which torch may scribble."""
    from benchkit.store.files import storage_errors

    made = unfinished(results / "artifacts")
    with storage_errors(results):
        made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def cause(error: BaseException) -> str:
    """Return the first sentence of the last line of what Ray says, which is the point of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(". ")[0].rstrip(".") if lines else type(error).__name__
