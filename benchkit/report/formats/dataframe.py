"""From records to one table for pandas, R and similar tools: one row per record, one column per value."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from benchkit.errors import BenchkitError, StoreError
from benchkit.records.metrics import METRICS
from benchkit.records.record import Record, finite
from benchkit.text import printable

Kind = Literal["text", "whole", "number", "texts", "moment"]
Get = Callable[[Record], Any]


@dataclass(frozen=True)
class Column:
    """One column: the kind of its values, and one value per record; None for a missing value.

    Kinds: ``text`` str, ``whole`` int, ``number`` finite float, ``texts`` list of str, ``moment`` datetime in UTC.
    """

    name: str
    kind: Kind
    values: list[Any]


FIXED: dict[str, tuple[Kind, Get]] = {
    "dataset": ("text", lambda record: record.dataset),
    "model": ("text", lambda record: record.model),
    "recipe": ("text", lambda record: record.recipe),
    "attack": ("text", lambda record: record.attack),
    "attack_params": ("text", lambda record: _json(record.attack_info.get("params"))),
    "defense": ("text", lambda record: record.defense),
    "defense_kind": ("text", lambda record: _text(record.defense_info.get("kind"))),
    "defense_params": ("text", lambda record: _json(record.defense_info.get("params"))),
    "poison_rate": ("number", lambda record: record.poison_rate),
    "population": ("whole", lambda record: record.population or None),
    "seed": ("whole", lambda record: record.seed),
    "status": ("text", lambda record: record.status),
    "error": ("text", lambda record: record.error or None),
    "warnings": ("texts", lambda record: list(record.warnings)),
}
ENDING: dict[str, tuple[Kind, Get]] = {
    "device": ("text", lambda record: record.device or None),
    "threads": ("whole", lambda record: record.threads or None),
    "finished": ("moment", lambda record: _moment(record.moment)),
    "key": ("text", lambda record: record.key),
}


def tidy(records: Iterable[Record]) -> list[Column]:
    """Return the table of these records, sorted by cell and seed.

    Columns: ``FIXED``, every metric by its name (fractions stay fractions), ``seconds_STAGE``, ``peak_mb_STAGE`` and
    ``peak_device_mb_STAGE`` (MiB) of the cell and of each step that it needed, ``version_NAME``, ``ENDING``.
    """
    rows = sorted(records, key=lambda record: (*map(str, record.identity[:-1]), record.seed, record.age))
    costs = {name: _cost(name) for row in rows for name in _costs(row)}
    versions = {f"version_{name}": _version(name) for row in rows for name in row.versions}
    others = {**dict.fromkeys(FIXED), **dict.fromkeys(costs), **dict.fromkeys(versions), **dict.fromkeys(ENDING)}
    metrics = {_free(name, others): _metric(name) for name in _metric_names(rows)}
    wanted = FIXED | _sorted(metrics, METRICS) | _sorted(costs, ()) | _sorted(versions, ()) | ENDING
    return [Column(name, kind, [get(row) for row in rows]) for name, (kind, get) in wanted.items()]


def to_csv(columns: Sequence[Column]) -> str:
    """Write the table as CSV; an empty field is a missing value, a list is a JSON array."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    cells = [[_field(value) for value in column.values] for column in columns]
    writer.writerows(zip(*cells, strict=True))
    return out.getvalue()


def to_parquet(columns: Sequence[Column]) -> bytes:
    """Write the table as Parquet: string, int64, float64, list<string> and timestamp[us, UTC] columns, nulls for None.

    Raises:
        BenchkitError: if pyarrow is missing.
        StoreError: if an integer has more than 64 bits.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BenchkitError("writing Parquet needs pyarrow: pip install 'benchkit[parquet]'") from None
    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "texts": pa.list_(pa.string()),
        "moment": pa.timestamp("us", tz="UTC"),
    }
    try:
        arrays = {column.name: pa.array(column.values, types[column.kind]) for column in columns}
    except OverflowError:
        raise StoreError("a record holds a whole number of more than 64 bits, which Parquet cannot hold") from None
    out = io.BytesIO()
    pq.write_table(pa.table(arrays), out)
    return out.getvalue()


def _field(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _sorted(found: dict[str, tuple[Kind, Get]], first: Iterable[str]) -> dict[str, tuple[Kind, Get]]:
    """Return columns in the order of ``first``, then by name."""
    known = [name for name in first if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a unique column name: a plugin may give its metric any name."""
    return name if name not in taken else _free(f"metric_{name}", taken)


def _metric_names(rows: Iterable[Record]) -> dict[str, None]:
    return {name: None for row in rows for name in row.metrics}


def _metric(name: str) -> tuple[Kind, Get]:
    return "number", lambda record: record.metrics.get(name)


def _cost(name: str) -> tuple[Kind, Get]:
    return "number", lambda record: _costs(record).get(name)


def _version(name: str) -> tuple[Kind, Get]:
    return "text", lambda record: record.versions.get(name)


def _costs(record: Record) -> dict[str, float]:
    """Return ``seconds_STAGE`` and the peaks; several steps of a stage give a sum and the largest peak."""
    found: dict[str, float] = {}
    for role, cost in record.costs.items():
        for name in ("seconds", "peak_mb", "peak_device_mb"):
            value: Any = cost.get(name) if isinstance(cost, dict) else None
            if finite(value):
                column = f"{name}_{_stage(role)}"
                old = found.get(column, 0.0)
                found[column] = old + float(value) if name == "seconds" else max(old, float(value))
    return found


def _stage(role: str) -> str:
    """Return a role without its number or dataset: ``benign audit 3`` becomes ``benign_audit``."""
    words = printable(role).split() or ["?"]
    return "other" if words[0] == "other" else "_".join(words[:-1] if words[-1].isdecimal() else words)


def _json(found: object) -> str | None:
    try:
        return json.dumps(found, sort_keys=True, allow_nan=False) if isinstance(found, dict) else None
    except ValueError:
        return None


def _text(found: object) -> str | None:
    return printable(found) if isinstance(found, str) else None


def _moment(stamp: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (OverflowError, ValueError, OSError):  # the time of a record without one is minus infinity
        return None
