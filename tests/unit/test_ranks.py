"""Which defense is best over all attacks: mean ranks, and what can be said of their differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from report_records import cells, record

from benchkit.records.metrics import metric
from benchkit.report.cells import Cell
from benchkit.report.leading import Score
from benchkit.report.tables.ranks import Ranking, cliques, critical_difference, rankings, ranks_of


def grid(
    scores: dict[str, list[float]], metric: str, seeds: int = 3, more: Sequence[dict[str, Any]] = ()
) -> list[Cell]:
    """Each defense's number against the attacks a0, a1, ..., the same under every seed; NaN: not run."""
    return cells([
        *more,
        *(
            record(f"a{at}", defense, seed, metrics={metric: value})
            for defense, row in scores.items()
            for at, value in enumerate(row)
            for seed in range(seeds)
            if not math.isnan(value)
        ),
    ])  # fmt: skip


def of(found: list[Ranking], metric: str) -> Ranking:
    (one,) = [ranking for ranking in found if ranking.metric == metric]
    return one


def place(mean: float, margin: float = 0.0, able: bool = True) -> Score:
    return Score(mean, margin, 3, able)


def ranks(scores: dict[str, Score], name: str = "asr") -> dict[str, float]:
    return {
        defense: row["a"]
        for defense, row in ranks_of({d: {"a": s} for d, s in scores.items()}, ["a"], metric(name)).items()
    }


def test_the_best_has_rank_one_and_ties_share_theirs() -> None:
    assert ranks({"x": place(0.1), "y": place(0.1), "z": place(0.9)}) == {"x": 1.5, "y": 1.5, "z": 3}
    assert ranks({"x": place(0.1), "y": place(0.1), "z": place(0.9)}, "ra") == {"x": 2.5, "y": 2.5, "z": 1}


def test_what_no_interval_tells_apart_shares_its_ranks() -> None:
    assert ranks({"x": place(0.1, 0.03), "y": place(0.15, 0.04)}) == {"x": 1.5, "y": 1.5}
    assert ranks({"x": place(0.1, 0.03), "y": place(0.151, 0.04)}) == {"x": 1, "y": 2}
    # The first and the last of a chain are apart, though each is tied with the one between.
    chain = {"x": place(0.1, 0.05), "y": place(0.15, 0.05), "z": place(0.2, 0.05)}
    assert ranks(chain) == {"x": 1.5, "y": 2, "z": 2.5}


def test_what_may_not_lead_comes_last() -> None:
    scores = {"broken": place(0.0, able=False), "gone": place(0.2, able=False), "good": place(0.02), "idle": place(0.9)}
    assert ranks(scores) == {"good": 1, "idle": 2, "broken": 3.5, "gone": 3.5}


def test_attacks_that_tell_nothing_are_excluded_by_name() -> None:
    failed = [record("weak", name, metrics={"asr": 0.01}) for name in ASR]
    marked = [record("odd", name, metrics={"asr": row[0]}, warnings=["odd"]) for name, row in ASR.items()]
    found = of(rankings(grid(ASR, "asr", more=[*failed, *marked])), "asr")
    assert (found.excluded, found.attacks) == (("odd", "weak"), ("a0", "a1", "a2", "a3"))
    assert found.ranks == {"good": 1.0, "fair": 2.0, "none": 3.0}


def test_a_destroyed_model_is_never_first() -> None:
    found = [
        record(attack, name, metrics={"c_acc": c_acc, "asr": asr, "der": 0.5 + (1 - asr - (0.95 - c_acc)) / 2})
        for attack in ("a", "b")
        for name, c_acc, asr in (("broken", 0.1, 0.0), ("good", 0.935, 0.02), ("fair", 0.94, 0.5))
    ]
    found += [record(attack, "none", metrics={"c_acc": 0.95, "asr": 1.0}) for attack in ("a", "b")]
    assert list(of(rankings(cells(found)), "asr").ranks) == ["good", "fair", "none", "broken"]
    assert list(of(rankings(cells(found)), "der").ranks) == ["good", "fair", "broken"]


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
    kept = {"none": [0.9] * 4, "fair": [0.88] * 4, "good": [0.85] * 4}
    assert list(of(rankings(grid(kept, "c_acc")), "c_acc").ranks) == ["none", "fair", "good"]


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

    # The letters lie 10 points apart: no record here says how many images or models would make less of a lead.
    sizes = {"p": 16, "q": 16, "r": 4, "s": 4, "t": 1, "u": 1}
    rows = [
        judged(name, size, attack, 0.1 * (ord(name) - ord("o")) + 0.2)
        for name, size in sizes.items()
        for attack in ("a", "b")
    ]
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
