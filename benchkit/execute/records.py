"""The record of one cell and seed, apart from what measuring it adds. Torch-free: failures are recorded too."""

from __future__ import annotations

import platform
import time
from calendar import timegm
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchkit.api import Attack, Defense
from benchkit.execute.executor import Outcome
from benchkit.protocol import overlaps
from benchkit.schema import SCHEMA
from benchkit.store import Damaged, Record, Store, read_json

AXES = ("key", "dataset", "model", "recipe", "attack", "defense", "seed", "poison_rate", "population")

MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def describe(job: Mapping[str, Any], attack: Attack, defense: Defense) -> Record:
    """Return what a record says whatever became of its cell: identity, assumptions, versions."""
    return {
        "schema": SCHEMA,
        **{name: job[name] for name in AXES},
        "status": "skipped",
        "error": None,
        "metrics": {},
        "warnings": [],
        "costs": {},
        "attack_info": {
            "access": attack.access,
            "label_policy": attack.label_policy,
            "benign": attack.benign,
            "needs": sorted(attack.needs),
            "params": attack.params(),
        },
        "defense_info": {
            "kind": defense.kind,
            "stage": defense.stage,
            "needs": sorted(defense.needs),
            "clean": defense.clean,
            # A dataset comes whole as another one to learn from, the victims' images included.
            "overlap": overlaps(defense.clean) or job["dataset"] in job["others"],
            "params": defense.params(),
        },
        "versions": {"python": platform.python_version(), **_versions("benchkit", "torch", "numpy")},
    }


def parent_costs(parents: Mapping[str, tuple[str, str]], store: Store) -> dict[str, dict[str, float]]:
    """Return what each parent of a step cost, by its role, and what a defense's preparation learned from.

    Raises:
        Damaged: when a parent has to be made again first.
    """
    metas = {role: store.meta(*step) for role, step in parents.items()}
    shadows = metas.get("prepare", {}).get("info", {}).get("shadows")
    return {role: meta["cost"] for role, meta in metas.items()} | ({"shadows": shadows} if shadows else {})


def failed_costs(job: Mapping[str, Any], store: Store, stage: str, outcome: Outcome) -> dict[str, dict[str, float]]:
    """Return what was spent on a cell that failed, by role: on its parents, and on the step of ``stage`` that failed.

    That is the cell itself, one of its parents, or one further up, which has no role but its stage.
    """
    role = next((role for role, (_, key) in job["parents"].items() if key == outcome.key), stage)
    spent = {role: dict(outcome.cost)}
    there = {role: step for role, step in job["parents"].items() if store.has(*step)}
    for role, step in there.items():  # what is not there must not be asked: another run may be publishing it
        with suppress(Damaged):
            spent |= parent_costs({role: step}, store)
    return spent


def moment(job: Mapping[str, Any], path: Path) -> str:
    """Return when the record of a job, at this path, is finished: now (UTC), but after those it makes obsolete.

    A report shows the youngest, and the clock may have gone back.
    """
    seed, _, _ = path.name.partition("-")
    others = [read_json(one) for one in path.parent.glob(f"{seed}-*.json") if one != path]
    obsolete = [one for one in others if all(one.get(name) == job[name] for name in ("recipe", "poison_rate"))]
    now = time.strftime(MOMENT, time.gmtime())
    return max([now, *(_second_after(one.get("finished")) for one in obsolete)])


def _second_after(moment: object) -> str:
    try:
        return time.strftime(MOMENT, time.gmtime(timegm(time.strptime(str(moment), MOMENT)) + 1))
    except (ValueError, OverflowError):
        return ""


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}
