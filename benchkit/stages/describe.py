"""The record of one cell and seed, apart from what measuring it adds. Torch-free: failures are recorded too."""

from __future__ import annotations

import platform
import time
from calendar import timegm
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchkit.contracts.attack import Attack
from benchkit.contracts.defense import Defense
from benchkit.contracts.kinds import ModelDetector
from benchkit.plan.job import PREPARE, Job, Parents
from benchkit.protocol import overlaps
from benchkit.records.record import Record
from benchkit.store.files import read_json
from benchkit.store.store import Store


def acting(job: Job) -> str:
    """Return what a step is mostly done by."""
    return job.defense or job.attack or job.dataset


MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def describe(job: Job, attack: Attack, defense: Defense, classes: int = 0) -> Record:
    """Return what a record says whatever became of its cell: identity, assumptions, versions.

    ``classes`` is the number of classes, 0 where it is not known: a cell that failed may have no data.
    """
    return Record(
        key=job.key,
        dataset=job.dataset,
        model=job.model,
        recipe=job.recipe,
        attack=job.attack,
        defense=job.defense,
        seed=job.seed,
        poison_rate=job.poison_rate,
        population=job.population,
        status="skipped",
        attack_info=_attack_info(attack),
        # A dataset comes whole as another one to learn from, the victims' images included.
        defense_info={
            **_defense_info(defense, overlap=overlaps(defense.clean) or job.dataset in job.others),
            **(_by_chance(defense, classes) if classes else {}),
        },
        versions={"python": platform.python_version(), **_versions("benchkit", "torch", "numpy")},
    )


def _paper(component: Attack | Defense) -> dict[str, str]:
    return {"paper": component.paper} if component.paper else {}


def _attack_info(attack: Attack) -> dict[str, Any]:
    return {
        **_paper(attack),
        "access": attack.access,
        "label_policy": attack.label_policy,
        "benign": attack.benign,
        "needs": sorted(attack.needs),
        "params": attack.params(),
        **({"cover_rate": attack.cover_rate} if attack.cover_rate else {}),
        **({"test_strength": attack.test_strength} if attack.test_strength != 1 else {}),
        **({"source_classes": list(sources)} if (sources := attack.source_classes()) else {}),
    }


def _defense_info(defense: Defense, *, overlap: bool) -> dict[str, Any]:
    return {
        **_paper(defense),
        "kind": defense.kind,
        "stage": defense.stage,
        "needs": sorted(defense.needs),
        "clean": defense.clean,
        **({"labelled": False} if defense.clean and not defense.labelled else {}),
        "overlap": overlap,
        "params": defense.params(),
    }


def _by_chance(defense: Defense, classes: int) -> dict[str, float]:
    """Return how often a model detector flags a clean model by chance alone, where it knows."""
    rate = defense.false_alarm_rate(classes) if isinstance(defense, ModelDetector) else None
    return {} if rate is None else {"classes": classes, "false_alarms_by_chance": rate}


def parent_costs(parents: Parents, store: Store) -> dict[str, dict[str, float]]:
    """Return what each parent of a step cost, by its role, and what a defense's preparation learned from.

    Raises:
        Damaged: when a parent has to be made again first.
    """
    metas = {role: store.meta(*step) for role, step in parents.items()}
    shadows = metas[PREPARE]["info"].get("shadows") if PREPARE in metas else None
    return {str(role): meta["cost"] for role, meta in metas.items()} | ({"shadows": shadows} if shadows else {})


def moment(job: Job, path: Path) -> str:
    """Return when the record of a job, at this path, is finished: now (UTC), but after those it makes obsolete.

    A report shows the youngest, and the clock may have gone back.
    """
    seed, _, _ = path.name.partition("-")
    others = [read_json(one) for one in path.parent.glob(f"{seed}-*.json") if one != path]
    obsolete = [one for one in others if all(one.get(name) == getattr(job, name) for name in ("recipe", "poison_rate"))]
    now = time.strftime(MOMENT, time.gmtime())
    return max([now, *(_second_after(one.get("finished")) for one in obsolete)])


def _second_after(moment: object) -> str:
    try:
        return time.strftime(MOMENT, time.gmtime(timegm(time.strptime(str(moment), MOMENT)) + 1))
    except (ValueError, OverflowError):
        return ""


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}
