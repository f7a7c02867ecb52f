"""Execution on a Ray cluster: one actor per slot of any node; Ray places them, benchkit decides what runs."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import benchkit
from benchkit.errors import BenchkitError, DeviceError, StoreError
from benchkit.execute.executors.base import Outcome
from benchkit.execute.executors.ray_cluster import RayWorker, WithoutRay, cause, connected, disconnect, marker
from benchkit.plan.job import Job

FALSE_STARTS = 20
"""How many workers in a row may die before they are up: those that Ray had placed on a node that was dying do."""


@dataclass(eq=False)
class _Actor:
    """An actor, the number it is called by, and the answer it owes us (None: it is idle)."""

    handle: Any
    number: int
    owes: Any
    node: str = ""
    job: Job | None = None
    deadline: float = float("inf")


class RayExecutor:
    """Actors on the nodes of a Ray cluster, each with a CPU core or a share of a GPU to itself.

    A job waits here until an actor is up, so that one whose place never comes free holds no job.

    Args:
        setup: as for the local executor; its paths must mean the same on every node.
        address: ``auto`` or ``HOST:PORT``; None: a Ray of our own, on this machine.
        devices: ``cpu``, or ``cuda`` for every GPU there is; of a Ray of our own also ``cuda:N`` for some of them.
        each: workers on a GPU.
        limit: workers in all.
        timeout: seconds allowed per job, from when an actor begins it.
        threads: of each worker, which reserves as many cores; None: one, or its share of those of a GPU's node.

    Raises:
        SpecError: when Ray is not installed or no cluster answers.
        DeviceError: when no node has what a worker needs.
        StoreError: when the results folder cannot be written.
    """

    def __init__(
        self,
        setup: Mapping[str, Any],
        address: str | None = None,
        devices: Sequence[str] = ("cpu",),
        each: int = 1,
        limit: int | None = None,
        timeout: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.device, self.each, self.limit, self.asked = devices[0].partition(":")[0], each, limit, threads
        self.timeout = timeout or float("inf")
        self._queue: deque[Job] = deque()
        self._actors: list[_Actor] = []
        self._false_starts = 0
        self._crowded = False
        with ExitStack() as opened:
            opened.enter_context(redirect_stdout(WithoutRay(sys.stdout)))
            self._ray = connected(address, devices)
            opened.callback(disconnect, self._ray)
            self._need = self._resources()
            self.slots = self._capacity()
            if not self.slots:
                what = (
                    "a GPU: use --device cpu" if self.device == "cuda" else f"{self.threads} cores: use fewer --threads"
                )
                raise DeviceError(f"no node of the Ray cluster has {what}")
            seen = opened.enter_context(marker(Path(setup["results"])))
            self._setup = self._for_nodes(setup, str(seen))
            self._opened = opened.pop_all()

    def _for_nodes(self, setup: Mapping[str, Any], marker: str) -> dict[str, Any]:
        """Return a setup that means the same in any folder of any node."""
        return {
            **setup,
            "device": self.device,
            "threads": self.threads,
            "marker": marker,
            "folder": str(Path.cwd()),
            "plugin_files": [str(Path(file).resolve()) for file in setup["plugin_files"]],
            "data_root": str(Path(setup["data_root"]).resolve()),
        }

    def submit(self, job: Job) -> str | None:
        """Queue a job for the next idle actor; return that actor's name, such as ``node7/2``, if there is one."""
        if self._crowded and not self._queue and all(one.job is None for one in self._actors):
            for actor in list(self._actors):  # what idle ones keep on their GPUs is what a step that is alone may need
                self._drop(actor)
            self._crowded = False
        self._queue.append(job)
        self._spread()
        return next((f"{one.node}/{one.number}" for one in self._actors if one.job is job), None)

    def wait(self, timeout: float) -> list[Outcome]:
        """Return the outcomes of jobs that ended within ``timeout`` seconds."""
        until = time.monotonic() + timeout
        self.slots = self._capacity()
        self._spread()
        owing = {one.owes: one for one in self._actors if one.owes is not None}
        if not owing:
            time.sleep(timeout)  # every node is gone; others may come
            return []
        nearest = min([until, *(one.deadline for one in owing.values())])
        self._ray.wait(list(owing), timeout=max(0.0, nearest - time.monotonic()))
        ready, _ = self._ray.wait(list(owing), num_returns=len(owing), timeout=0)
        ended = [outcome for ref in ready for outcome in self._answered(owing[ref])]
        late = [one for one in self._actors if one.deadline <= time.monotonic()]
        return ended + [self._expired(one) for one in late]

    @property
    def threads(self) -> int:
        """With how many threads each actor computes: one for each core that it reserves."""
        return max(1, int(self._need["num_cpus"]))

    @property
    def gpus(self) -> float:
        """How many GPUs the actors that there may be now hold."""
        return self.slots * float(self._need["num_gpus"])

    def close(self) -> None:
        """Kill every actor, and Ray itself if it is ours."""
        for actor in list(self._actors):
            self._drop(actor)
        self._opened.close()

    def _resources(self) -> dict[str, Any]:
        """Return what to reserve for one actor: a core, or a share of a GPU with its share of the node's cores."""
        if self.device != "cuda":
            return {"num_cpus": self.asked or 1, "num_gpus": 0}
        nodes = [node for node in self._nodes() if node.get("GPU", 0) >= 1]
        shares = [int(node.get("CPU", 0) // (int(node["GPU"]) * self.each)) for node in nodes]
        return {"num_cpus": self.asked or min(shares, default=0), "num_gpus": 1 / self.each}

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _capacity(self) -> int:
        """Return how many actors the nodes that are there now have room for."""
        if self.device == "cuda":
            places = sum(int(node.get("GPU", 0)) * self.each for node in self._nodes())
        else:
            places = sum(int(node.get("CPU", 0)) // self._need["num_cpus"] for node in self._nodes())
        return min(places, self.limit or places)

    def _spread(self) -> None:
        """Hand queued jobs to idle actors, and ask for more actors while jobs are left."""
        for actor in self._actors:
            if actor.owes is None and self._queue:
                job = self._queue.popleft()
                actor.job, actor.deadline = job, time.monotonic() + self.timeout
                actor.owes = actor.handle.run.remote(json.dumps(job.to_json()))
        coming = sum(not one.node for one in self._actors)
        for _ in range(min(len(self._queue) - coming, self.slots - len(self._actors))):
            self._start()

    def _start(self) -> None:
        taken = {one.number for one in self._actors}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        options = {**self._need, "max_restarts": 0, "max_task_retries": 0}
        handle = self._ray.remote(**options)(RayWorker).remote(self._setup)
        self._actors.append(_Actor(handle, number, handle.hello.remote()))

    def _answered(self, actor: _Actor) -> list[Outcome]:
        """Take what an actor owed us: what became of its job, or that it is up."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            answer = self._ray.get(actor.owes)
        except RayTaskError as error:
            raise BenchkitError(f"a worker on node {actor.node} cannot work: {cause(error)}") from None
        except RayActorError as error:
            if error.actor_init_failed:
                raise BenchkitError(f"a node cannot start a worker: {cause(error)}") from None
            return self._lost(actor, cause(error))
        job, actor.owes, actor.job, actor.deadline = actor.job, None, None, float("inf")
        if job is None:
            self._admit(actor, answer)
            return []
        outcome = Outcome(job.key, **json.loads(answer))
        self._crowded |= outcome.state == "oom"
        if outcome.spoils(self.device):
            self._drop(actor)
        return [outcome]

    def _admit(self, actor: _Actor, answer: Mapping[str, str]) -> None:
        """Let an actor work, if its node can.

        Raises:
            BenchkitError: when it sees another results folder than we do, or runs another benchkit.
        """
        node, version = answer["node"], answer["version"]
        if not answer["shared"]:
            folder = self._setup["results"]
            raise StoreError(f"node {node} cannot see the results folder {folder}: put it on a path all nodes share")
        if version != benchkit.__version__:
            raise BenchkitError(f"node {node} has benchkit {version}, not {benchkit.__version__}: install the same one")
        actor.node, self._false_starts = node, 0

    def _lost(self, actor: _Actor, why: str) -> list[Outcome]:
        """Forget an actor that died, and its job if it had one.

        Raises:
            BenchkitError: when actors keep dying before they are up.
        """
        self._drop(actor)
        if actor.job is not None:
            return [Outcome(actor.job.key, "lost", error=f"its process died ({why})")]
        self._false_starts += not actor.node
        if self._false_starts >= FALSE_STARTS:
            raise BenchkitError(f"the Ray cluster started {FALSE_STARTS} workers, and each died at once: {why}")
        return []

    def _expired(self, actor: _Actor) -> Outcome:
        assert actor.job is not None
        key = actor.job.key
        self._drop(actor)
        return Outcome(key, "timeout", error=f"stopped after {self.timeout:g} s: allow more with --timeout")

    def _drop(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        with suppress(Exception):  # Ray may have lost it, or itself
            self._ray.kill(actor.handle)
