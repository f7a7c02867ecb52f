"""The data of a record for every tracker, and how observers are switched on."""

from __future__ import annotations

import importlib
import os
import re
from typing import Any

import benchkit

NAMED = ("dataset", "model", "recipe", "attack", "defense", "poison_rate", "seed")
Value = str | int | float | bool


def asked(variable: str) -> str:
    """Return the value of an environment variable, or "" if this observer is off."""
    return os.environ.get(variable, "").strip()


def library(module: str, extra: str, variable: str) -> Any:
    """Import a tracker's library.

    Raises:
        BenchkitError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        absent = (error.name or extra).partition(".")[0]
        raise benchkit.BenchkitError(
            f"{variable} is set, but {absent} is not installed: pip install 'benchkit[{extra}]'"
        ) from error


def title(record: dict[str, Any]) -> str:
    """Return a run's name, such as ``badnets x strip, cifar10, resnet18, seed 0``."""
    return "{attack} x {defense}, {dataset}, {model}, seed {seed}".format_map(record)


def folder(record: dict[str, Any]) -> str:
    """Return a run's relative path, ``dataset/model/attack/defense/seed0-1a2b3c4d``, safe as a file name."""
    parts = [re.sub(r"[^\w=,+-]+", "_", str(record[axis]))[:80] for axis in ("dataset", "model", "attack", "defense")]
    return "/".join([*parts, f"seed{record['seed']}-{record['key'][:8]}"])


def config(record: dict[str, Any]) -> dict[str, Value]:
    """Return the settings of the run: axes, every parameter as ``attack.size``, status, versions, device."""
    found = {name: record[name] for name in NAMED} | {"status": record["status"], "key": record["key"]}
    for side in ("attack", "defense"):
        found |= {f"{side}.{name}": value for name, value in record[f"{side}_info"]["params"].items()}
    found |= {f"version.{name}": value for name, value in record["versions"].items()}
    found |= {name: record[name] for name in ("device", "error") if record.get(name)}
    return {name: value for name, value in found.items() if isinstance(value, Value)}


def metrics(record: dict[str, Any]) -> dict[str, float]:
    """Return the numeric metrics of the record, by name; a failed cell has none."""
    return {name: float(value) for name, value in record["metrics"].items() if isinstance(value, int | float)}
