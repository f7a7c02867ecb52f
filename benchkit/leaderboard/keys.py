"""Which records the installed code would make: those whose keys a run would have today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.errors import BenchkitError, DataError
from benchkit.records.record import Record
from benchkit.report.rows import is_benign
from benchkit.spec.values import as_text

if TYPE_CHECKING:
    from benchkit.spec.registry import Registry
    from benchkit.spec.spec import Spec

Setting = tuple[str, str, str, float, int, bool]
"""Dataset, model, recipe, poison rate, population, and whether repairs were retuned."""


@dataclass(frozen=True)
class Parted:
    """Records by whose code they are of.

    Attributes:
        ours: those that the installed code would make.
        others: those whose key it would not give.
        unplanned: what could not be planned, and why, a line for each; its records are in neither list.
    """

    ours: tuple[Record, ...]
    others: tuple[Record, ...]
    unplanned: tuple[str, ...]


def parted(records: Iterable[Record], data_root: Path | None, plugins: tuple[str, ...]) -> Parted:
    """Return which of these records have the keys that the installed code gives.

    Records name the files that they were made from. They come from others, so none but the embedded dataset is looked
    at without ``data_root``.

    Args:
        data_root: where datasets are, as for ``benchkit run``.
        plugins: loose plugin files.
    """
    from benchkit.spec.registry import load

    registry = load(plugins)
    known, unplanned = _known(list(records), registry)
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in known:
        settings[_setting(record)].append(record)
    ours, others = list[Record](), list[Record]()
    for setting, group in settings.items():
        try:
            keys = _keys(_spec(setting, group, registry), registry, data_root)
        except BenchkitError as error:
            unplanned.append(f"{setting[0]}: {error}")
        else:
            ours += [record for record in group if record.key in keys]
            others += [record for record in group if record.key not in keys]
    return Parted(tuple(ours), tuple(others), tuple(unplanned))


def _known(records: list[Record], registry: Registry) -> tuple[list[Record], list[str]]:
    """Return the records whose attacks and defenses are installed, and why others are not."""
    from benchkit.spec.spec import components

    unknown: dict[tuple[str, str], str] = {}
    for axis in ("attack", "defense"):
        for name in sorted({getattr(record, axis) for record in records}):
            try:
                components(name, f"{axis}s", registry)
            except BenchkitError as error:
                unknown[axis, name] = f"{axis} {name}: {error}"
    left = [one for one in records if ("attack", one.attack) not in unknown and ("defense", one.defense) not in unknown]
    return left, list(unknown.values())


def _setting(record: Record) -> Setting:
    # Benign rows are the same at every rate.
    rate = 0.1 if is_benign(record) else record.poison_rate or 0.1
    population = record.population if record.population > 1 else 0  # one of each kind are the victims themselves
    return (record.dataset, record.model, record.recipe, rate, population, "asr_retuned" in record.metrics)


def _spec(setting: Setting, records: list[Record], registry: Registry) -> Spec:
    """Return the request of all attacks of these records against all their defenses, in one setting."""
    from benchkit.spec.spec import make

    dataset, model, recipe, rate, population, retune = setting
    texts = {
        "attacks": as_text("attacks", sorted({record.attack for record in records})),
        "defenses": as_text("defenses", sorted({record.defense for record in records} - {"none"})),
        "seeds": as_text("seeds", sorted({record.seed for record in records})),
        "datasets": dataset,
        "models": model,
        "recipe": recipe,
        "poison_rate": str(rate),
        "population": str(population),
        "retune": retune,
        "victims": any(record.defense == "none" for record in records),
    }
    return make(texts, registry)


def _keys(spec: Spec, registry: Registry, data_root: Path | None) -> set[str]:
    """Return the keys of the cells of a request.

    Raises:
        DataError: if its datasets are not to be looked at, or are not there.
    """
    from benchkit.contracts.data import Source
    from benchkit.execute.resolve import data_root as usual
    from benchkit.execute.resolve import model_code
    from benchkit.plan.planner import plan

    if data_root is None and not all(dataset.embedded for dataset in spec.sources()):
        raise DataError("it is made of files: say with --data-root that they may be read")
    source = Source(usual(data_root))
    prints = {dataset: dataset.fingerprint(source) for dataset in spec.sources()}
    made = plan(spec, prints, partial(model_code, registry))
    return {made.steps[key].job.key for key in made.cells}
