"""The table of records: what becomes a column, and what stays out."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from benchkit.errors import StoreError
from benchkit.records.record import parse
from benchkit.report.formats.dataframe import tidy, to_csv, to_parquet


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def record(**changes: Any) -> dict[str, Any]:
    base = {"schema": 1, "attack": "a", "defense": "d", "dataset": "s", "model": "m", "seed": 0, "status": "ok"}
    return {**base, "key": "k", "finished": "2026-01-02T03:04:05Z", **changes}


def columns(*found: dict[str, Any]) -> dict[str, Any]:
    return {one.name: one for one in tidy(filter(None, map(parse, found)))}


def test_steps_in_numbers_count_as_one_stage_and_odd_values_are_left_out() -> None:
    costs = {
        "audit 0": {"seconds": 1.5, "peak_mb": 5},
        "audit 1": {"seconds": 2, "peak_mb": 3},
        "benign audit 0": {"seconds": 1},
        "other cifar10:x=1": {"seconds": 4},
        "cell": {"seconds": "long", "peak_mb": float("nan"), "peak_device_mb": True},
        "data": 3,
        "train": {"seconds": 10**400},
    }
    found = columns(record(costs=costs))
    assert found["seconds_audit"].values == [3.5]
    assert found["peak_mb_audit"].values == [5]
    assert found["seconds_benign_audit"].values == [1]
    assert found["seconds_other"].values == [4]
    assert not {"seconds_cell", "peak_mb_cell", "peak_device_mb_cell", "seconds_data", "seconds_train"} & found.keys()


def test_a_metric_may_not_take_the_place_of_another_column() -> None:
    found = columns(record(metrics={"seed": 7.5, "asr": 0.5}), record(seed=1, metrics={}))
    assert found["seed"].values == [0, 1]
    assert found["metric_seed"].values == [7.5, None]
    assert found["asr"].values == [0.5, None]


def test_csv_of_lists_missing_values_and_odd_texts() -> None:
    row = record(status="failed", error='say "no",\nnow', warnings=["one, two"], attack_info={"params": {"a": 1}})
    (read,) = rows_of(to_csv(list(columns(row).values())))
    assert read["error"] == 'say "no", now'
    assert json.loads(read["warnings"]) == ["one, two"]
    assert json.loads(read["attack_params"]) == {"a": 1}
    assert read["defense_params"] == read["poison_rate"] == ""
    assert read["finished"] == "2026-01-02T03:04:05+00:00"


def test_parquet_refuses_a_number_it_cannot_hold() -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(StoreError, match="more than 64 bits"):
        to_parquet(list(columns(record(seed=2**70)).values()))
