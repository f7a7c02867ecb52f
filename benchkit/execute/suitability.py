"""The check of a request against the decoded images: unsuitable components are refused, or omitted if from ``all``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchkit.errors import NothingToRun
from benchkit.spec.spec import unsuitable
from benchkit.store.store import Damaged
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.defense import Defense
    from benchkit.execute.request import Request
    from benchkit.plan.job import Job
    from benchkit.plan.steps import Step


def drop_unsuitable(asked: Request) -> Request:
    """Return the request without cells that do not suit its decoded datasets, and report them on stderr.

    Datasets that are not in the store yet count as suitable: call it again when they are decoded.

    Raises:
        SpecError: if a component requested by name cannot run on the images.
        NothingToRun: if no cell is left.
    """
    unfit = {(where, str(one)): why for where, found in _refused(asked).items() for one, why in found.items()}
    gone = {key for key in asked.plan.cells if _parts(asked.plan.steps[key].job) & unfit.keys()}
    if not gone:
        return asked
    for (where, name), why in unfit.items():
        warn(f"left out {name} on {where}: {why}")
    left = asked.plan.without(gone)
    if not left.cells:
        raise NothingToRun("nothing to run: no attack or no defense that was asked for suits the images")
    return replace(asked, plan=left)


def say_notes(asked: Request) -> None:
    """Print the notes of the decoded datasets on stderr, such as skipped files of a folder."""
    for dataset, step in {step.job.dataset: step for step in asked.plan.of("data")}.items():
        for note in _decoded(asked, step).get("notes", ()):
            warn(f"{dataset}: {note}")


def _parts(job: Job) -> set[tuple[str, str]]:
    return {(job.dataset, text) for text in (job.attack, job.defense) if text}


def _decoded(asked: Request, step: Step) -> dict[str, Any]:
    """Return the metadata of a decoded dataset; nothing if it is not in the store."""
    try:
        return dict(asked.store.meta("data", step.key)["info"]) if asked.store.has("data", step.key) else {}
    except Damaged as damage:
        warn(f"damaged: {step.label}: {damage}")
        return {}


def _refused(asked: Request) -> dict[str, dict[Attack | Defense, str]]:
    found = {}
    data = {step.job.dataset: step for step in asked.plan.of("data")}
    for dataset in asked.spec.datasets:
        step = data.get(str(dataset))
        if step and (info := _decoded(asked, step)):
            found[str(dataset)] = unsuitable(
                asked.spec, dataset, tuple(info["shape"]), len(info["classes"]), info.get("attributes", ())
            )
    return found
