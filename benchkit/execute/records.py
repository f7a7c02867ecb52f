"""The record of one cell and seed, apart from what measuring it adds. Torch-free: failures are recorded too."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from benchkit.api import Attack, Defense
from benchkit.protocol import overlaps
from benchkit.store import SCHEMA, Record

AXES = ("key", "dataset", "model", "recipe", "attack", "defense", "seed", "poison_rate")


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
            "overlap": overlaps(defense.clean),
            "params": defense.params(),
        },
        "versions": {"python": platform.python_version(), **_versions("benchkit", "torch", "numpy")},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}
