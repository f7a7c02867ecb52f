"""Local execution: one persistent process per device slot; a dead or hung one costs only its own step."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchkit.execute.executors.base import Outcome
from benchkit.execute.executors.interrupts import deaf_children
from benchkit.execute.executors.launch import launch, starting, threads_each, without_main
from benchkit.execute.executors.packing import Packing
from benchkit.plan.job import Job
from benchkit.store.locks import myself
from benchkit.store.store import Store

PRELOAD = ["benchkit.execute.executors.server", "benchkit.execute.executors.worker"]
"""Imported once in the fork server, so that a worker starts in a tenth of a second. What only some steps need, a worker
imports that takes one: timm for its networks, torch's compiler for its optimizers, scikit-learn."""
SERVER = "the server that workers are forked from"
GOING = 0.5
"""Seconds that a killed server may take to end. Its sockets close first, and as long as it is there nobody starts a new
one: all attempts would be spent in that moment."""
PATIENCE = 5.0
"""Seconds that a step may wait for another run before anybody is told."""


@dataclass
class _Worker:
    device: str
    name: str
    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    deadline: float = float("inf")
    tell: float = float("inf")


class LocalExecutor:
    """Workers on this machine, one for each entry of ``devices`` (``cpu`` or ``cuda:N``, repeats allowed).

    With a ``packing`` there may be more of them later; threads are for the most there may ever be.
    """

    def __init__(
        self,
        devices: Sequence[str],
        setup: Mapping[str, Any],
        timeout: float | None = None,
        packing: Packing | None = None,
        threads: int | None = None,
    ) -> None:
        self.devices, self.timeout, self.packing = list(devices), timeout or float("inf"), packing
        most = max(packing.limit, len(self.devices)) if packing else len(self.devices)
        self.setup = {**setup, "threads": threads_each(most, threads)}
        self.slots, self.gpus = len(self.devices), float(len({*self.devices} - {"cpu"}))
        self._context = _context()
        self._serve()
        self._workers: list[_Worker] = []
        self._unborn: list[Outcome] = []
        self._crowded = False

    @property
    def threads(self) -> int:
        """With how many threads each worker computes."""
        return int(self.setup["threads"])

    def submit(self, job: Job) -> str:
        """Give a job to an idle worker, starting one if need be; return its name, such as ``cuda:0/1``.

        After one ran out of memory, the next that has no other beside it gets the devices as they are without us.
        """
        if self._crowded and all(one.job is None for one in self._workers):
            self.close()
            self._crowded = False
        try:
            worker = next((one for one in self._workers if one.job is None), None) or self._start()
        except (EOFError, OSError) as error:
            time.sleep(GOING)
            self._unborn.append(Outcome(job.key, "lost", error=f"{_stillborn(error)} while a worker started"))
            return ""
        now = time.monotonic()
        worker.job, worker.deadline, worker.tell = job, now + self.timeout, now + PATIENCE
        try:
            worker.pipe.send_bytes(json.dumps(job.to_json()).encode())
        except OSError:
            worker.process.kill()  # it died while idle; wait() sees its sentinel and reports the job as lost
        return worker.name

    def wait(self, timeout: float) -> list[Outcome]:
        """Return the outcomes of jobs that ended within ``timeout`` seconds."""
        if self._unborn:
            unborn, self._unborn = self._unborn, []
            return unborn
        busy = [one for one in self._workers if one.job is not None]
        until = min([time.monotonic() + timeout, *(one.deadline for one in busy)])
        handles: list[Any] = [handle for one in busy for handle in (one.pipe, one.process.sentinel)]
        ready = wait(handles, max(0.0, until - time.monotonic()))
        ended = [self._ended(one) for one in busy if one.pipe in ready or one.process.sentinel in ready]
        ended += [self._expired(one) for one in busy if one.job and one.deadline <= time.monotonic()]
        return ended + [told for one in busy if one.job and (told := self._waits(one))]

    def close(self) -> None:
        """Kill every worker."""
        for worker in list(self._workers):
            self._drop(worker)

    def _serve(self) -> None:
        """See to it that the server runs that workers are forked from."""
        with starting(self.threads):
            resource_tracker.ensure_running()  # first, because it unblocks Ctrl-C when it starts
            with deaf_children():
                forkserver.ensure_running()

    def _start(self) -> _Worker:
        taken = [one.device for one in self._workers]
        free = next(one for one in self.devices if taken.count(one) < self.devices.count(one))
        names = {one.name for one in self._workers}
        name = next(name for name in (f"{free}/{number}" for number in range(len(names) + 1)) if name not in names)
        self._serve()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=launch, args=(theirs, {**self.setup, "device": free}))  # type: ignore[attr-defined]
        with theirs:
            try:
                with without_main():
                    process.start()
            except BaseException:
                ours.close()
                raise
        self._workers.append(_Worker(free, name, process, ours))
        return self._workers[-1]

    def _ended(self, worker: _Worker) -> Outcome:
        assert worker.job is not None
        key, stage = worker.job.key, worker.job.stage
        if not worker.pipe.poll(1):  # the worker lives, or what it forked does, and nobody will tell of its end
            self._drop(worker)
            return Outcome(key, "lost", error=f"{SERVER} died, or its process left another one behind")
        try:
            answer = json.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            worker.process.join(5)
            code = worker.process.exitcode
            self._drop(worker)
            return Outcome(key, "lost", error=f"its process died ({_cause(code)})")
        worker.job = None
        outcome = Outcome(key, **answer)
        self._crowded |= outcome.state == "oom"
        if outcome.spoils(worker.device):
            self._drop(worker)
        self._repack(worker.device, stage, outcome)
        return outcome

    def _repack(self, device: str, stage: str, outcome: Outcome) -> None:
        change = self.packing.change(device, stage, outcome, self.devices) if self.packing else 0
        if change > 0:
            self.devices.append(device)
        elif change < 0:
            self.devices.remove(device)
        self.slots = len(self.devices)

    def _expired(self, worker: _Worker) -> Outcome:
        assert worker.job is not None
        key, other = worker.job.key, self._other(worker)
        self._drop(worker)
        why = f" of waiting for {other}, which holds this step: end that process, or" if other else ":"
        return Outcome(key, "timeout", error=f"stopped after {self.timeout:g} s{why} allow more with --timeout")

    def _waits(self, worker: _Worker) -> Outcome | None:
        """Return, once a job, that it waits for another run, if it does."""
        if worker.job is None or worker.tell > time.monotonic() or not (other := self._other(worker)):
            return None
        worker.tell = float("inf")
        return Outcome(worker.job.key, "waiting", error=f"{other} is doing it; if that hangs, end it")

    def _other(self, worker: _Worker) -> str:
        """Return which process holds what a worker is to make, if it is not the worker; "" where nobody does."""
        assert worker.job is not None
        found = Store(Path(self.setup["results"])).holder(worker.job.key)
        return "" if found == myself(worker.process.pid) else found

    def _drop(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join(PATIENCE)  # a driver that hangs can keep a killed process for ever
        worker.pipe.close()
        worker.job = None
        self._workers.remove(worker)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}" + (", perhaps out of memory: use fewer --jobs" if code == -9 else "")
    return f"exit code {code}"


def _stillborn(error: EOFError | OSError) -> str:
    """Return in a few words what a process could not be started for."""
    if isinstance(error, EOFError | ConnectionError):
        return f"{SERVER} died"
    return f"the system refused ({error.strerror or error})"


def _context() -> BaseContext:
    """Return how to start processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context
