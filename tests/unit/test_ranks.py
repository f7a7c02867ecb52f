"""Which defense is best over all attacks: mean ranks, and what can be said of their differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
from report_records import cells, record

from benchkit.report.aggregate import Cell
from benchkit.report.ranks import Ranking, cliques, critical_difference, mean_ranks, rankings


def grid(scores: dict[str, list[float]], metric: str, seeds: int = 3) -> list[Cell]:
    """Each defense's number against the attacks a0, a1, ..., the same under every seed; NaN: not run."""
    return cells([
        record(f"a{at}", defense, seed, metrics={metric: value})
        for defense, row in scores.items()
        for at, value in enumerate(row)
        for seed in range(seeds)
        if not math.isnan(value)
    ])  # fmt: skip


def of(found: list[Ranking], metric: str) -> Ranking:
    (one,) = [ranking for ranking in found if ranking.metric == metric]
    return one


def test_ranks_are_over_attacks_and_ties_share_theirs() -> None:
    scores = {"x": {"a": 0.1, "b": 0.5}, "y": {"a": 0.1, "b": 0.2}, "z": {"a": 0.9, "b": 0.3}}
    assert mean_ranks(scores, ["a", "b"], highest_first=False) == {"x": 2.25, "y": 1.25, "z": 2.5}
    assert mean_ranks(scores, ["a", "b"], highest_first=True) == {"x": 1.75, "y": 2.75, "z": 1.5}


@pytest.mark.parametrize(("defenses", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_the_published_table(defenses: int, quantile: float) -> None:
    # Demsar, JMLR 2006, Table 5(a)
    expected = quantile * math.sqrt(defenses * (defenses + 1) / (6 * 14))
    assert critical_difference(defenses, 14) == pytest.approx(expected, rel=4e-4)


def test_cliques_are_the_longest_runs_within_the_distance() -> None:
    assert cliques({"a": 1.0, "b": 1.5, "c": 2.4, "d": 4.0}, 1.0) == (("a", "b"), ("b", "c"))
    assert cliques({"a": 1.0, "b": 1.5, "c": 2.0}, 1.0) == (("a", "b", "c"),)
    assert cliques({"a": 1.0, "b": 3.0}, 1.0) == ()


ASR = {"none": [0.9, 0.9, 0.9, 0.9], "good": [0.1, 0.1, 0.1, 0.1], "fair": [0.5, 0.5, 0.5, 0.5]}


def test_a_ranking_with_three_seeds_is_tested() -> None:
    found = of(rankings(grid(ASR, "asr")), "asr")
    assert found.ranks == {"good": 1.0, "fair": 2.0, "none": 3.0}
    assert found.means == pytest.approx({"good": 0.1, "fair": 0.5, "none": 0.9})
    assert found.test is not None
    # The same order each time: 12 n / (k (k + 1)) (1 + 4 + 9 - k (k + 1)^2 / 4) = 8, and exp(-8 / 2) beyond it.
    assert found.test.statistic == pytest.approx(8)
    assert found.test.p == pytest.approx(math.exp(-4))
    assert found.test.distance == pytest.approx(2.3437 * math.sqrt(12 / 24), rel=1e-4)
    assert found.test.cliques == (("good", "fair"), ("fair", "none"))


def test_a_higher_number_may_be_the_better_one() -> None:
    assert list(of(rankings(grid(ASR, "c_acc")), "c_acc").ranks) == ["none", "fair", "good"]


@pytest.mark.parametrize(
    "found",
    [
        grid(ASR, "asr", seeds=2),
        grid({name: row[:2] for name, row in ASR.items()}, "asr"),
        grid({name: ASR[name] for name in ("good", "fair")}, "asr"),
        grid({name: [0.5, 0.4, 0.3] for name in "xyz"}, "asr"),
    ],
    ids=["two seeds", "two attacks", "two defenses", "all equal"],
)
def test_where_there_is_too_little_nothing_is_tested(found: list[Cell]) -> None:
    assert of(rankings(found), "asr").test is None


def test_who_met_few_attacks_is_left_out_and_others_are_ranked_where_all_met() -> None:
    gaps = {"x": [0.1, 0.2, 0.3, 0.4], "y": [0.2, 0.3, 0.4, math.nan], "z": [math.nan, math.nan, math.nan, 0.1]}
    found = of(rankings(grid(gaps, "asr")), "asr")
    assert (found.attacks, found.left_out, list(found.ranks)) == (("a0", "a1", "a2"), ("z",), ["x", "y"])


def test_model_detectors_are_ranked_over_as_many_models_and_not_by_one_pair() -> None:
    def judged(name: str, models: int, attack: str, auroc: float) -> dict[str, Any]:
        info = {"kind": "model detector"}
        return record(attack, name, defense_info=info, population=models, metrics={"auroc": auroc})

    sizes = {"p": 16, "q": 16, "r": 4, "s": 4, "t": 1, "u": 1}
    rows = [judged(name, size, attack, ord(name) / 200) for name, size in sizes.items() for attack in ("a", "b")]
    found = {one.population: list(one.ranks) for one in rankings(cells(rows)) if one.metric == "auroc"}
    assert found == {16: ["q", "p"], 4: ["s", "r"]}


def test_kinds_are_ranked_apart_by_what_only_they_have() -> None:
    kinds = [("p", "input detector"), ("q", "input detector"), ("r", "model detector"), ("s", "model detector")]
    rows = [
        record(a, name, defense_info={"kind": kind}, metrics={"auroc": 0.5, "score": 2.0})
        for name, kind in kinds
        for a in ("a", "b")
    ]
    found = [(one.metric, one.kind) for one in rankings(cells(rows))]
    assert sorted(found) == [
        ("auroc", "input detector"), ("auroc", "model detector"), ("peak_mb", ""), ("seconds", ""),
    ]  # fmt: skip
