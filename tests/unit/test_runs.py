"""Two runs side by side: which cells are set against each other, what is said of them, and for whom it is good."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from benchkit.errors import NothingToRun
from benchkit.records.metrics import metric
from benchkit.records.record import parse
from benchkit.report.cells import Cell, cells_of
from benchkit.report.runs.export import changes_to_csv, changes_to_json
from benchkit.report.runs.pairs import RunComparison, twins_of, verdict
from benchkit.report.runs.tables import changes
from benchkit.report.summaries import Summary, summarize


def record(attack: str, defense: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    kind = {"none": "baseline", "strip": "input detector"}[defense.partition(":")[0]]
    params = {"size": 3} if attack == "badnets" else {}
    return {
        "schema": 1, "key": "k", "dataset": "scenes", "model": "narrownet", "recipe": "fast", "attack": attack,
        "defense": defense, "seed": seed, "poison_rate": 0.1, "status": "ok", "metrics": {"c_acc": 0.9, "asr": 0.5},
        "attack_info": {"benign": attack == "none", "params": params}, "defense_info": {"kind": kind},
        "versions": {"torch": "2.6"}, "device": "cpu", "finished": "2026-11-20T22:10:00Z",
    } | changes  # fmt: skip


def cells(*found: dict[str, Any]) -> list[Cell]:
    return cells_of([one for one in map(parse, found) if one])


def runs(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> RunComparison:
    return twins_of(("A", "B"), cells(*a), cells(*b))


def rows(found: RunComparison, table: int = 0) -> list[list[str]]:
    return [[head.name, *(entry.text for entry in row)] for head, row in changes(found).tables[table].rows]


def note(found: RunComparison, heading: str) -> tuple[str, ...]:
    return dict(changes(found).notes).get(heading, ())


def test_cells_that_differ_are_shown_with_each_headline_metric_and_one_seed_says_no_more_than_the_sign() -> None:
    found = runs(
        [record("badnets", "none"), record("blend", "none"), record("none", "none", poison_rate=0)],
        [
            record("badnets", "none", metrics={"c_acc": 0.88, "asr": 0.25}),
            record("blend", "none"),
            record("none", "none", poison_rate=0),
        ],
    )
    assert rows(found) == [
        ["badnets x none", "C-Acc", "90.0", "88.0", "-2.0", "", "1"],
        ["badnets x none", "ASR", "50.0", "25.0", "-25.0", "", "1"],
    ]
    assert len(changes(found).tables) == 1
    assert note(found, "Runs")[2] == "3 cells in both; one of them differs and is shown"


def test_means_are_over_the_seeds_of_both_and_then_seed_by_seed() -> None:
    a = [record("badnets", "none", seed, metrics={"c_acc": 0.9, "asr": 0.1 * seed}) for seed in range(3)]
    b = [record("badnets", "none", seed, metrics={"c_acc": 0.9, "asr": 0.1}) for seed in (1, 2, 5)]
    found = runs(a, b)
    assert rows(found) == [
        ["badnets x none", "C-Acc", "90.0", "90.0", "0.0", "", "2"],
        ["badnets x none", "ASR", "15.0", "10.0", "-5.0", "", "2"],
    ]
    assert rows(found, 1) == [
        ["badnets x none", "ASR", "10.0", "10.0", "0.0", "1"],
        ["badnets x none", "ASR", "20.0", "10.0", "-10.0", "2"],
    ]
    assert note(found, "Only in A") == ("dataset scenes, model narrownet: badnets x none (seed 0)",)
    assert note(found, "Only in B") == ("dataset scenes, model narrownet: badnets x none (seed 5)",)


def test_seeds_that_differ_in_both_directions_are_not_lost_in_their_mean() -> None:
    a, b = (
        [record("badnets", "none", seed, metrics={"asr": abs(seed - side) * 0.2}) for seed in (0, 1)] for side in (0, 1)
    )
    assert rows(runs(a, b))[0][1:] == ["ASR", "10.0", "10.0", "0.0", "", "2"]
    assert [row[4] for row in rows(runs(a, b), 1)] == ["+20.0", "-20.0"]


def test_what_differs_in_how_they_were_made_is_said_once() -> None:
    a = [record(attack, "strip") for attack in ("badnets", "blend")]
    b = [record(attack, "strip", recipe="standard", versions={"torch": "2.15"}) for attack in ("badnets", "blend")]
    b[0]["attack_info"] = {"benign": False, "params": {"size": 5}}
    assert note(runs(a, b), "Differences in their settings") == (
        "recipe: fast -> standard (every cell)",
        "attack badnets, size: 3 -> 5 (badnets x strip)",
        "torch: 2.6 -> 2.15 (every cell)",
    )


def test_a_difference_in_code_is_seen_by_the_key() -> None:
    found = runs([record("badnets", "none")], [record("badnets", "none", key="other", device="cuda")])
    assert found.twins[0].settings() == ["code or data: the keys of the two differ", "device: cpu -> cuda"]


def test_the_closest_cell_is_the_other_one() -> None:
    a = [record("badnets", "none", recipe=recipe) for recipe in ("fast", "standard")]
    b = [record("badnets", "none", recipe="standard"), record("blend", "none", poison_rate=0.05)]
    a.append(record("blend", "none"))
    found = runs(a, b)
    assert [(twin.a.axis("recipe"), twin.b.axis("recipe")) for twin in found.twins] == [
        ("standard", "standard"), ("fast", "fast"),
    ]  # fmt: skip
    assert found.twins[1].settings() == ["poison rate: 10 % -> 5 %"]
    assert [cell.axis("recipe") for cell in found.alone[0]] == ["fast"]


def test_a_cell_that_fails_in_one_run() -> None:
    found = runs([record("badnets", "none")], [record("badnets", "none", status="failed", error="boom", metrics={})])
    assert rows(found)[0] == ["badnets x none", "C-Acc", "90.0", "✗", "·", "", "1"]
    assert note(found, "Failed, timed out or skipped in B") == ("✗ boom [badnets x none seed 0]",)


def test_metrics_beside_the_headline_are_counted() -> None:
    a, b = ({"c_acc": 0.9, "asr": 0.5, "ra": value, "seconds": value} for value in (0.1, 0.2))
    found = runs([record("badnets", "none", metrics=a)], [record("badnets", "none", metrics=b)])
    assert changes(found).tables == ()
    assert note(found, "Runs")[3] == "not shown, but different: RA in 1 cell"
    assert [row[1] for row in rows_of(found, "ra")] == ["RA"]


def rows_of(found: RunComparison, only: str) -> list[list[str]]:
    return [[head.name, *(entry.text for entry in row)] for head, row in changes(found, only).tables[0].rows]


def test_csv_and_json_leave_nothing_out() -> None:
    a = [record("badnets", "none"), record("blend", "none", 1)]
    b = [record("badnets", "none", metrics={"c_acc": 0.9, "asr": 0.75}), record("sig", "none", 2)]
    lines = list(csv.DictReader(changes_to_csv(runs(a, b)).splitlines()))
    assert [(one["attack"], one["seed"], one["metric"], one["a"], one["b"]) for one in lines] == [
        ("badnets", "0", "c_acc", "0.9", "0.9"), ("badnets", "0", "asr", "0.5", "0.75"),
        ("blend", "1", "c_acc", "0.9", ""), ("blend", "1", "asr", "0.5", ""),
        ("sig", "2", "c_acc", "", "0.9"), ("sig", "2", "asr", "", "0.5"),
    ]  # fmt: skip
    assert (lines[1]["difference"], lines[1]["for_the_defender"], lines[1]["status_b"]) == ("0.25", "", "ok")
    told = json.loads(changes_to_json(runs(a, b)))
    (cell,) = told["cells"]
    assert cell["metrics"]["asr"]["difference"] == {"mean": 0.25, "ci95": None, "n": 1}
    assert cell["metrics"]["asr"]["by_seed"] == {"0": [0.5, 0.75]}
    assert cell["metrics"]["asr"]["for_the_defender"] is None
    assert [one["attack"] for one in told["only_a"] + told["only_b"]] == ["blend", "sig"]


def test_runs_with_no_cell_in_common() -> None:
    with pytest.raises(NothingToRun, match="A and B share no cell"):
        runs([record("badnets", "none")], [record("badnets", "none", 1)])


@pytest.mark.parametrize(
    ("name", "difference", "said"),
    [
        ("asr", summarize([-0.1] * 3), "better"),
        ("c_acc", summarize([-0.1] * 3), "worse"),
        ("auroc", Summary(0.1, 0.09, 5), "better"),
        ("auroc", Summary(0.1, 0.1, 5), "unclear"),
        ("auroc", Summary(0.1, None, 2), ""),
        ("psnr", Summary(3, 0, 5), ""),
        ("asr", summarize([1e-12] * 3), ""),
        ("asr", None, ""),
    ],
)
def test_the_verdict_is_the_defenders_and_only_of_what_the_interval_tells(
    name: str, difference: Summary | None, said: str
) -> None:
    assert verdict(metric(name), difference) == said


def seeded(defense: str, name: str, values: list[float]) -> list[dict[str, Any]]:
    return [record("badnets", defense, seed, metrics={name: value}) for seed, value in enumerate(values)]


def test_a_difference_is_judged_by_the_interval_of_its_own_pairs() -> None:
    noisy = runs(seeded("strip", "auroc", [0.9, 0.95, 0.85]), seeded("strip", "auroc", [0.91, 0.93, 0.865]))
    assert rows(noisy)[0][1:] == ["AUROC", "90.0 ± 12.4", "90.2 ± 8.3", "+0.2 ± 4.7", "unclear", "3"]
    # The same spread between seeds, but every one of them moves alike.
    sure = runs(seeded("strip", "auroc", [0.9, 0.95, 0.85]), seeded("strip", "auroc", [0.86, 0.91, 0.82]))
    assert rows(sure)[0][3:] == ["86.3 ± 11.2", "-3.7 ± 1.4", "worse", "3"]
    assert any("unclear if it contains 0" in line for line in note(sure, "Legend"))
    (told,) = json.loads(changes_to_json(noisy))["cells"]
    assert told["metrics"]["auroc"]["for_the_defender"] == "unclear"
    lines = list(csv.DictReader(changes_to_csv(sure).splitlines()))
    assert [one["for_the_defender"] for one in lines] == ["worse"] * 3
    assert float(lines[0]["mean_difference"]) == pytest.approx(-0.11 / 3)
    assert float(lines[0]["ci95"]) == pytest.approx(4.302653 * 0.0057735 / 3**0.5, rel=1e-4)


def test_a_metric_that_one_run_has_not_is_absent_and_no_difference() -> None:
    a = [record(attack, "none") for attack in ("badnets", "blend")]
    b = [record(attack, "none", metrics={"c_acc": 0.9, "asr": 0.5, "ra": 0.1}) for attack in ("badnets", "blend")]
    del b[1]["metrics"]["asr"], a[1]["metrics"]["c_acc"]
    found = runs(a, b)
    assert changes(found).tables == ()
    assert note(found, "Runs")[2:] == (
        "2 cells in both; none of them differs",
        "absent in A: RA in 2 cells, C-Acc in 1 cell",
        "absent in B: ASR in 1 cell",
    )
    assert [cell["differs"] for cell in json.loads(changes_to_json(found))["cells"]] == [False, False]


def test_an_absent_metric_in_a_row_that_is_shown_is_marked_so() -> None:
    found = runs([record("badnets", "none")], [record("badnets", "none", metrics={"c_acc": 0.8})])
    assert rows(found)[1][1:] == ["ASR", "50.0", "n/a", "·", "", "1"]
    assert any("n/a this metric does not exist" in line for line in note(found, "Legend"))


def test_populations_of_equal_size_are_compared_where_one_store_holds_several() -> None:
    def judged(models: int, auroc: float) -> dict[str, Any]:
        kind = {"defense_info": {"kind": "model detector"}, "metrics": {"auroc": auroc}, "population": models}
        return record("badnets", "strip") | kind

    found = runs([judged(4, 0.7), judged(16, 0.9)], [judged(16, 0.8)])
    (twin,) = found.twins
    assert (twin.a.population, twin.b.population) == (16, 16)
    assert [cell.population for cell in found.alone[0]] == [4]


def test_shares_over_other_numbers_of_models_are_shown_and_not_subtracted() -> None:
    def judged(models: int, auroc: float) -> dict[str, Any]:
        kind = {"defense_info": {"kind": "model detector"}, "metrics": {"auroc": auroc}, "population": models}
        return record("badnets", "strip") | kind

    found = runs([judged(16, 0.7)], [judged(4, 0.9)])
    assert rows(found)[0][1:] == ["AUROC", "70.0", "90.0", "·", "", "1"]
