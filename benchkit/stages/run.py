"""Which function makes which step's result, and how one step is run: unless its result is in the store already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from benchkit.plan.job import AUDIT, FIT, PREPARE, SCORES, Job
from benchkit.records.record import Record
from benchkit.stages.attack import make_craft, make_poison, make_train
from benchkit.stages.cell import make_cell
from benchkit.stages.cost import Meter, added, apart
from benchkit.stages.data import make_data
from benchkit.stages.defense import make_audit, make_fit, make_prepare, make_score
from benchkit.stages.describe import acting, describe, moment, parent_costs
from benchkit.stages.ensembles import make_population, make_shadows
from benchkit.stages.features import make_features
from benchkit.stages.predictions import make_judge
from benchkit.stages.retune import make_retune
from benchkit.stages.spectrum import make_spectrum
from benchkit.stages.workspace import Result, Task, Workspace


def run_step(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Run one step unless its result is there, and publish the result.

    Returns:
        JSON for the parent process: ``made`` (False when another run had done it), ``cost``, and ``info``.

    Raises:
        Damaged: when a parent's artifact has to be made again first.
    """
    task, store, stage, key = workspace.task(job), workspace.store, job.stage, job.key
    with store.lock(key):
        if stage == "cell":
            return _run_cell(task)
        if store.has(stage, key):
            return {"made": False, **store.meta(stage, key)}
        with Meter(task.device) as meter, task.cache.untouched(acting(job)):
            tensors, info = STAGES[stage](task)
        meta = {"info": info, "cost": meter.cost, "label": _label(job)}
        store.save(stage, key, tensors, meta)
        return {"made": True, **meta}


def _label(job: Job) -> str:
    words = [job.dataset, job.attack, job.defense, job.purpose if job.purpose == "surrogate" else ""]
    return " ".join(word for word in words if word)


STAGES: dict[str, Callable[[Task], Result]] = {
    "data": make_data,
    "craft": make_craft,
    "poison": make_poison,
    "train": make_train,
    "judge": make_judge,
    "shadows": make_shadows,
    "prepare": make_prepare,
    "fit": make_fit,
    "score": make_score,
    "population": make_population,
    "audit": make_audit,
    "retune": make_retune,
    "spectrum": make_spectrum,
    "features": make_features,
}


def _run_cell(task: Task) -> dict[str, Any]:
    found = task.store.record(task.job.cell())
    if found and found.status == "ok":
        return {"made": False, "record": found.to_json()}
    with Meter(task.device) as meter, task.cache.untouched(acting(task.job)):
        measured = make_cell(task)
    own = apart(meter.cost, measured.pop("aside"))
    return {"made": True, "record": task.store.write_record(_record(task, measured, own)), "cost": meter.cost}


def _record(task: Task, measured: Mapping[str, Any], own: Mapping[str, Mapping[str, float]]) -> Record:
    """Return the record of a measured cell, given the cost of measuring it, by parts."""
    costs = {**own, **parent_costs(task.job.parents, task.store)}
    found = {
        **measured,
        "metrics": measured["metrics"] | _total(task.job, costs),
        "warnings": tuple(measured["warnings"]),
    }
    return replace(
        describe(task.job, task.attack, task.defense, len(task.data.classes)),
        status="ok",
        costs=costs,
        device=_device_name(task.device),
        threads=torch.get_num_threads(),
        finished=moment(task.job, task.store.record_path(task.job.cell())),
        **found,
    )


def _total(job: Job, costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the defense itself cost: its cell and its own steps, not the victim it was given."""
    own = {
        "cell",
        "shadows",
        *(str(role) for role in job.parents if role in {PREPARE, FIT, SCORES} or role.kind == AUDIT),
    }
    return added([cost for role, cost in costs.items() if role in own])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
