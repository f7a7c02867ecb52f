"""What a record's file holds, to the byte, and that what is read of it is what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_records import record as decoded

from benchkit.records.record import STATUSES, Record, parse, parse_own
from benchkit.store.store import Store

MEASURED = Record(
    key="0" * 64,
    dataset="scenes",
    model="narrownet",
    recipe="fast",
    attack="badnets",
    defense="strip",
    seed=3,
    poison_rate=0.1,
    status="ok",
    metrics={"models": 3, "auroc": 0.75},
    warnings=("odd",),
    attack_info={"benign": False},
    defense_info={"kind": "input detector"},
    costs={"cell": {"seconds": 1.5}},
    versions={"python": "3.11.7"},
    device="cpu",
    threads=2,
    tested={"clean": 10, "triggered": 0},
    finished="2026-01-02T03:04:05Z",
)
FILE = """{
 "attack": "badnets",
 "attack_info": {
  "benign": false
 },
 "costs": {
  "cell": {
   "seconds": 1.5
  }
 },
 "dataset": "scenes",
 "defense": "strip",
 "defense_info": {
  "kind": "input detector"
 },
 "device": "cpu",
 "error": null,
 "finished": "2026-01-02T03:04:05Z",
 "key": "%s",
 "metrics": {
  "auroc": 0.75,
  "models": 3
 },
 "model": "narrownet",
 "poison_rate": 0.1,
 "population": 0,
 "recipe": "fast",
 "schema": 1,
 "seed": 3,
 "status": "ok",
 "tested": {
  "clean": 10,
  "triggered": 0
 },
 "threads": 2,
 "versions": {
  "python": "3.11.7"
 },
 "warnings": [
  "odd"
 ]
}
""" % ("0" * 64)  # fmt: skip

WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=5)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.dictionaries(WORDS, st.none() | st.booleans() | NUMBERS | WORDS | st.lists(NUMBERS, max_size=2), max_size=2)
RECORDS = st.builds(
    Record,
    **dict.fromkeys(("key", "dataset", "model", "recipe", "attack", "defense", "finished"), WORDS),
    seed=st.integers(0, 2**63 - 1),
    poison_rate=st.none() | st.floats(0, 1),
    population=st.integers(0, 99),
    status=st.sampled_from(STATUSES),
    error=st.just("") | WORDS,
    metrics=st.dictionaries(WORDS, NUMBERS, max_size=3),
    warnings=st.lists(WORDS, max_size=2).map(tuple),
    **dict.fromkeys(("attack_info", "defense_info", "curves", "gallery"), JSON),
    costs=st.dictionaries(st.sampled_from(["data", "train", "audit 0"]), JSON, max_size=2),
    versions=st.dictionaries(WORDS, WORDS, max_size=2),
    device=st.just("") | WORDS,
    threads=st.integers(0, 64),
    tested=st.dictionaries(st.sampled_from(["clean", "triggered"]), st.integers(0, 9999)),
)


def written(record: Record, folder: Path) -> str:
    store = Store(folder)
    store.write_record(record)
    return store.record_path(record.to_json()).read_text()


def test_the_file_of_a_measured_cell_is_this(tmp_path: Path) -> None:
    assert written(MEASURED, tmp_path) == FILE


@pytest.mark.parametrize("status", ["failed", "timeout", "skipped"])
def test_the_file_of_a_cell_without_a_result_says_why_and_not_with_what(tmp_path: Path, status: str) -> None:
    nothing: dict[str, Any] = {"metrics": {}, "warnings": (), "device": "", "threads": 0, "tested": {}, "costs": {}}
    said: dict[str, Any] = {"status": status, "error": "a: b", "traceback": "one\n two"}
    told = json.loads(FILE) | said | {"metrics": {}, "warnings": [], "costs": {}}
    for gone in ("device", "threads", "tested"):
        del told[gone]
    failed = replace(MEASURED, **nothing, **said)
    assert json.loads(written(failed, tmp_path)) == told
    assert json.loads(written(replace(failed, traceback=""), tmp_path)) == told | {"traceback": None}


@given(RECORDS)
def test_what_is_read_is_what_was_written(record: Record) -> None:
    found = json.loads(json.dumps(record.to_json(), allow_nan=False))
    again = parse(found)
    assert again == record
    assert again.to_json() == found


@given(RECORDS, st.sampled_from(("key", "dataset", "model", "attack", "defense", "seed")))
def test_a_run_counts_on_no_record_of_another_cell_or_another_key(record: Record, name: str) -> None:
    found = record.to_json()
    assert parse_own(found, found) == record
    assert parse_own(found, found | {name: -1 if name == "seed" else f"{found[name]}-"}) is None
    assert parse_own({**found, "schema": 2}, found) is None


def test_a_record_without_a_result_has_what_its_cell_cost_among_its_metrics() -> None:
    found = parse(decoded("badnets", "strip", status="failed", metrics={}))
    assert found is not None
    assert found.metrics == {"seconds": 1.5, "peak_mb": 512}


def test_what_a_record_ran_with_is_told_where_it_is_known() -> None:
    assert MEASURED.environment == {"python": "3.11.7", "device": "cpu", "threads": "2"}
    assert replace(MEASURED, device="", threads=0).environment == {"python": "3.11.7"}


@pytest.mark.parametrize("odd", [None, True, -1, 2.5, "many", []])
def test_what_is_no_count_is_not_known(odd: object) -> None:
    found = parse(decoded("badnets", "strip", threads=odd, tested={"clean": odd, "triggered": 5}))
    assert found is not None
    assert (found.threads, found.tested) == (0, {"triggered": 5})


@pytest.mark.parametrize("finished", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T04:04:05+01:00"])
def test_a_moment_without_a_zone_is_in_utc(finished: str) -> None:
    assert replace(MEASURED, finished=finished).moment == 1767323045


@pytest.mark.parametrize("finished", [None, "", "soon", 5, [], "2026-13-01"])
def test_a_record_that_does_not_say_when_is_the_oldest(finished: object) -> None:
    found = parse(decoded("badnets", "strip", finished=finished))
    assert found is not None
    assert found.moment == float("-inf")
    assert found.age < MEASURED.age
