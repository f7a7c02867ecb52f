"""Records on their way in and out: what is read as one, and the JSON and CSV made of them."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_records import MATRIX, cells, drawn, record

from benchkit.errors import StoreError
from benchkit.records.record import parse
from benchkit.report.formats.export import to_csv, to_json
from benchkit.report.load import read


def test_json_is_what_was_promised() -> None:
    found = json.loads(to_json(cells(MATRIX)))
    pruned = next(c for c in found if (c["attack"], c["defense"]) == ("badnets:size=5", "fine-pruning"))
    assert pruned == {
        "attack": "badnets:size=5", "defense": "fine-pruning", "dataset": "scenes", "model": "narrownet",
        "recipe": "fast", "poison_rate": 0.1, "seeds": [0, 1, 2], "status": "failed",
        "warnings": [],
        "metrics": {
            "c_acc": {"mean": 0.85, "ci95": None, "n": 2},
            "asr": {"mean": 0.3, "ci95": None, "n": 2},
            "seconds": {"mean": 1.5, "ci95": None, "n": 2},
            "peak_mb": {"mean": 512.0, "ci95": None, "n": 2},
        },
    }  # fmt: skip
    assert len(found) == 10


def test_csv_is_tidy_and_keeps_cells_without_results() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(cells(MATRIX), only="asr"))))
    assert len(rows) == 10
    attacked = next(row for row in rows if (row["attack"], row["defense"]) == ("badnets:size=5", "none"))
    assert float(attacked["mean"]) == pytest.approx(0.98)
    assert float(attacked["ci95"]) == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    timeout = next(row for row in rows if row["status"] == "timeout")
    assert (timeout["metric"], timeout["mean"], timeout["n"]) == ("", "", "0")


def test_exports_carry_the_warnings_of_a_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(cells(MATRIX), only="asr"))))
    assert {row["defense"]: row["warnings"] for row in rows if row["warnings"] != "[]"} == {"odd|a_b%": '["odd <tag>"]'}
    found = {one["defense"]: one["warnings"] for one in json.loads(to_json(cells(MATRIX))) if one["warnings"]}
    assert found == {"odd|a_b%": ["odd <tag>"]}


NAME = st.sampled_from(["badnets", "sig", "we|ird_%", "none"])
FOUND = st.builds(
    lambda a, d, k, status, rate, metrics, when: record(
        a, d, k, status=status, poison_rate=rate, metrics=metrics, finished=f"2026-11-20T22:1{when}:00Z"
    ),
    NAME,
    st.sampled_from(["fine-pruning", "freq-detector", "none", "odd|a_b%", "strip"]),
    st.integers(0, 3),
    st.sampled_from(["ok", "ok", "failed", "timeout", "skipped"]),
    st.sampled_from([None, 0.01, 0.1]),
    st.dictionaries(st.sampled_from(["c_acc", "asr", "auroc", "fpr", "own"]), st.floats(0, 1)),
    st.integers(0, 2),
)


@given(st.lists(FOUND, min_size=1, max_size=12), st.randoms())
def test_the_order_of_records_changes_nothing(found: list[dict[str, Any]], rng: random.Random) -> None:
    shuffled = rng.sample(found, len(found))
    assert drawn(found) == drawn(shuffled)
    assert to_json(cells(found)) == to_json(cells(shuffled))


@given(st.lists(FOUND, min_size=1, max_size=12))
def test_exports_agree_and_lose_no_cell(found: list[dict[str, Any]]) -> None:
    grouped = cells(found)
    decoded = json.loads(to_json(grouped))
    rows = list(csv.DictReader(io.StringIO(to_csv(grouped))))
    assert len(decoded) == len({tuple(f[a] for a in ("attack", "defense", "poison_rate")) for f in found})
    assert len(rows) == sum(max(1, len(cell["metrics"])) for cell in decoded)
    measured = iter(row for row in rows if row["metric"])
    for cell in decoded:
        for name, summary in cell["metrics"].items():
            row = next(measured)
            assert (row["metric"], float(row["mean"]), int(row["n"])) == (name, summary["mean"], summary["n"])


def test_reading_skips_artifacts_and_names_what_is_no_record(tmp_path: Path) -> None:
    place = tmp_path / "results/scenes/narrownet/badnets/strip"
    place.mkdir(parents=True)
    (place / "seed0-abc.json").write_text(json.dumps(record("badnets", "strip")))
    (place / "notes.json").write_text("{not json")
    (place / "seed1-abc.json").write_text(json.dumps(record("badnets", "strip", 1) | {"schema": 2}))
    (tmp_path / "results/artifacts").mkdir()
    (tmp_path / "results/artifacts/seed0-abc.json").write_text(json.dumps(record("sig", "strip")))
    found, warnings = read(tmp_path)
    assert [one.attack for one in found] == ["badnets"]
    assert len(warnings) == 1
    assert "ignored 2 files that are not a benchkit record of schema 1" in warnings[0]
    assert "notes.json" in warnings[0]
    assert [one.attack for one in read(place)[0]] == ["badnets"]


def test_folders_from_several_machines_are_read_whether_copied_or_linked(tmp_path: Path) -> None:
    for place, attack in (("all/results/a", "badnets"), ("all/node2/results/a", "blend"), ("node3/results/a", "sig")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "seed0-abc.json").write_text(json.dumps(record(attack, "strip")))
    (tmp_path / "all/node3").symlink_to(tmp_path / "node3")
    (tmp_path / "node3/round").symlink_to(tmp_path / "all")
    found, warnings = read(tmp_path / "all")
    assert sorted(one.attack for one in found) == ["badnets", "blend", "sig"]
    assert warnings == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no results folder at"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "broken",
    [[], "text", {}, {"seed": "0"}, {"status": "fine"}, {"metrics": []}, {"attack": None}, {"schema": 3}],
)
def test_what_is_not_a_record_is_refused(broken: Any) -> None:
    whole = record("badnets", "strip")
    assert parse(whole | broken if isinstance(broken, dict) and broken else broken) is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 10**400, "1", True])
def test_numbers_that_are_none_are_left_out_and_told(odd: Any) -> None:
    found = parse(record("badnets", "strip", metrics={"auroc": odd, "acc": 0.5, "bdr": None}))
    assert found is not None
    assert found.metrics == {"acc": 0.5, "seconds": 1.5, "peak_mb": 512.0}
    assert found.warnings == ("auroc is not a finite number and was left out",)
