"""Which records were made by other code than the installed: their keys are not those that a run would have today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError
from benchkit.spec.values import as_text

if TYPE_CHECKING:
    from benchkit.records.record import Record

Setting = tuple[str, str, str, float, int, bool]
"""Dataset, model, recipe, poison rate, population, and whether repairs were retuned."""


def other_code(records: Iterable[Record], data_root: Path | None, plugins: tuple[str, ...]) -> tuple[int, list[str]]:
    """Return how many of these records have another key than the installed code gives, and what could not be planned.

    Args:
        data_root: where datasets are, as for ``benchkit run``.
        plugins: loose plugin files.
    """
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        settings[_setting(record)].append(record)
    other, unplanned = 0, []
    for setting, group in settings.items():
        try:
            keys = _keys(setting, group, {"data_root": data_root, "plugins": plugins})
        except BenchkitError as error:
            unplanned.append(f"{setting[0]}: {error}")
        else:
            other += sum(record.key not in keys for record in group)
    return other, unplanned


def _setting(record: Record) -> Setting:
    # Benign rows are the same at every rate.
    rate = 0.1 if record.attack_info.get("benign") is True else record.poison_rate or 0.0
    retuned = "asr_retuned" in record.metrics
    population = record.population if record.population > 1 else 0  # one of each kind are the victims themselves
    return (record.dataset, record.model, record.recipe, rate, population, retuned)


def _keys(setting: Setting, records: list[Record], where: Mapping[str, Any]) -> set[str]:
    """Return the keys of all cells of these records' attacks and defenses in one setting."""
    from benchkit.execute.resolve import request

    dataset, model, recipe, rate, population, retune = setting
    given = {
        "attacks": as_text("attacks", sorted({record.attack for record in records})),
        "defenses": as_text("defenses", sorted({record.defense for record in records})),
        "seeds": as_text("seeds", sorted({record.seed for record in records})),
        "datasets": dataset,
        "models": model,
        "recipe": recipe,
        "poison_rate": str(rate or 0.1),
        "population": str(population),
        "retune": retune,
        "victims": any(record.defense == "none" for record in records),
    }
    means = {"suite": None, "device": "cpu", "download": False, "results": Path("benchkit-results"), "elsewhere": True}
    # Steps are planned for the CPU, which keys do not depend on: GPUs may be elsewhere.
    asked = request({**given, **means, **where})
    return {asked.plan.steps[key].job.key for key in asked.plan.cells}
