"""What a model detector says of a backdoored model and of the benign one alike, which is no finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchkit.records.record import Record
from benchkit.report.rows import is_benign


def also_benign(records: Iterable[Record]) -> dict[tuple[object, ...], str]:
    """Return a warning by identity, for records that suspect a class which the benign model is suspected of, too.

    Some classes stand out without a trigger: rare ones, or such as look like noise to a network. Only single models are
    compared; of a population, the shares of models say it. ``records`` are the newest of each identity.
    """
    records = [record for record in records if record.population == 1 and record.suspected]
    benign = {_setting(record): _suspects(record) for record in records if is_benign(record)}
    shared = {
        record.identity: _suspects(record).items() & benign.get(_setting(record), {}).items()
        for record in records
        if not is_benign(record)
    }
    return {identity: _told(dict(found)) for identity, found in shared.items() if found}


def _setting(record: Record) -> tuple[object, ...]:
    return (record.defense, record.dataset, record.model, record.recipe, record.seed)


def _suspects(record: Record) -> dict[int, str]:
    return {one["number"]: one["name"] for one in record.suspected}


def _told(shared: Mapping[int, str]) -> str:
    named = ", ".join(f"{number} ({shared[number]})" for number in sorted(shared))
    return f"the benign model is suspected, too, of class {named}: that stands out without a trigger"
