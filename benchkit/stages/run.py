"""Which function makes which step's result, and how one step is run: unless its result is in the store already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from benchkit.plan.planner import AUDIT, SURROGATE
from benchkit.records.record import Record
from benchkit.stages.attack import make_craft, make_poison, make_train
from benchkit.stages.cell import make_cell
from benchkit.stages.cost import Meter, added
from benchkit.stages.data import make_data
from benchkit.stages.defense import make_audit, make_prepare
from benchkit.stages.describe import acting, describe, moment, parent_costs
from benchkit.stages.ensembles import make_population, make_shadows
from benchkit.stages.predictions import make_judge
from benchkit.stages.spectrum import make_spectrum
from benchkit.stages.workspace import Job, Result, Workspace


def run_step(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Run one step unless its result is there, and publish the result.

    Returns:
        JSON for the parent process: ``made`` (False when another run had done it), ``cost``, and ``info``.

    Raises:
        Damaged: when a parent's artifact has to be made again first.
    """
    with workspace.store.lock(job["key"]):
        if job["stage"] == "cell":
            return _run_cell(workspace, job)
        stage, key = job["stage"], job["key"]
        if workspace.store.has(stage, key):
            return {"made": False, **workspace.store.meta(stage, key)}
        with Meter(workspace.device) as meter, workspace.cache.untouched(acting(job)):
            tensors, info = STAGES[stage](workspace, job)
        meta = {"info": info, "cost": meter.cost, "label": _label(job)}
        workspace.store.save(stage, key, tensors, meta)
        return {"made": True, **meta}


def _label(job: Job) -> str:
    words = [str(job[name]) for name in ("dataset", "attack", "defense") if name in job]
    return " ".join([*words, *([SURROGATE] if job.get("purpose") == SURROGATE else [])])


STAGES: dict[str, Callable[[Workspace, Job], Result]] = {
    "data": make_data,
    "craft": make_craft,
    "poison": make_poison,
    "train": make_train,
    "judge": make_judge,
    "shadows": make_shadows,
    "prepare": make_prepare,
    "population": make_population,
    "audit": make_audit,
    "spectrum": make_spectrum,
}


def _run_cell(workspace: Workspace, job: Job) -> dict[str, Any]:
    found = workspace.store.record(job)
    if found and found.status == "ok":
        return {"made": False, "record": found.to_json()}
    with Meter(workspace.device) as meter, workspace.cache.untouched(acting(job)):
        measured = make_cell(workspace, job)
    record = _record(workspace, job, measured, meter.cost)
    workspace.store.write_record(record)
    return {"made": True, "record": record.to_json(), "cost": meter.cost}


def _record(workspace: Workspace, job: Job, measured: Mapping[str, Any], cost: Mapping[str, float]) -> Record:
    """Return the record of a cell that was measured, at this cost of its own."""
    costs = {"cell": cost, **parent_costs(job["parents"], workspace.store)}
    found = {**measured, "metrics": measured["metrics"] | _total(costs), "warnings": tuple(measured["warnings"])}
    return replace(
        describe(job, workspace.attack(job), workspace.defense(job)),
        status="ok",
        costs=costs,
        device=_device_name(workspace.device),
        threads=torch.get_num_threads(),
        finished=moment(job, workspace.store.record_path(job)),
        **found,
    )


def _total(costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the defense itself cost: its cell and its own steps, not the victim it was given."""
    own = ("cell", "prepare", "shadows", AUDIT.strip())
    return added([cost for role, cost in costs.items() if role.split()[0] in own])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
