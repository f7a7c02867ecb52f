"""Who is best in a row: not who destroyed the model, led by chance, or met an attack that did not work."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from report_records import cells, record
from table_rows import markdown_rows

from benchkit.records.doubts import NOT_IMPLANTED, SHORTFALL, VICTIM_AT_CHANCE
from benchkit.report.cells import Cell
from benchkit.report.formats.html import page_data
from benchkit.report.formats.text import to_text
from benchkit.report.leading import LEAD, margin
from benchkit.report.tables.matrix import Axes, matrix

VICTIM = {"c_acc": 0.95, "asr": 1.0}


def der(c_acc: float, asr: float) -> dict[str, float]:
    """Return what a defense of ``VICTIM`` came to, as records have it."""
    return {"c_acc": c_acc, "asr": asr, "der": (VICTIM["asr"] - asr - max(0.0, VICTIM["c_acc"] - c_acc) + 1) / 2}


def row(attack: str = "badnets", victim: dict[str, float] = VICTIM, **defenses: Any) -> list[dict[str, Any]]:
    """Return the records of a row: of each defense the metrics, or a list of them, one a seed."""
    seeds = {name: found if isinstance(found, list) else [found] for name, found in defenses.items()}
    most = max(map(len, seeds.values()))
    return [
        *(record(attack, "none", seed, metrics=victim) for seed in range(most)),
        *(record(attack, name, seed, metrics=one) for name, found in seeds.items() for seed, one in enumerate(found)),
    ]


def in_markdown(found: list[Cell], view: Axes) -> list[str]:
    heads, *rows = markdown_rows(to_text(matrix(found, view), "markdown"))
    return [heads[at].split()[0] for one in rows for at, text in enumerate(one) if text.startswith("**")]


def in_latex(found: list[Cell], view: Axes) -> list[str]:
    lines = [line.split(" & ") for line in to_text(matrix(found, view), "latex").splitlines()]
    names = next(line for line in lines if line[0] == "attack")[1:]
    spans = [re.fullmatch(r"\\multicolumn\{(\d)\}\{c\}\{(.*?)\}( \\\\)?", name) for name in names]
    heads = ["attack", *(one[2] for one in spans if one for _ in range(int(one[1])))]
    bold = [heads[at] for line in lines for at, text in enumerate(line) if text.startswith(r"\textbf")]
    return [name for name, group in itertools.groupby(bold)]  # both numbers of an entry are bold


def in_html(found: list[Cell], view: Axes) -> list[str]:
    text = to_text(matrix(found, view), "html-table").partition("<tbody>")[0]
    heads = [part.partition("<")[0].split()[0] for part in text.split("<th>")[1:]]
    body = to_text(matrix(found, view), "html-table").partition("<tbody>")[2].split("<tr>")[1:]
    return [heads[at] for line in body for at, part in enumerate(line.split("<td>")[1:]) if part.startswith("<b>")]


def on_the_page(found: list[Cell], view: Axes) -> list[str]:
    data = page_data(found)
    (scene,) = data["scenes"]
    best = [data["cells"][number] for number in scene["best"].get(view.metric or "", [])]
    return [cell["defense"] for cell in sorted(best, key=lambda cell: cell["place"])]


@pytest.fixture(params=[in_markdown, in_latex, in_html, on_the_page])
def best(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    def found(records: list[dict[str, Any]], metric: str | None = None) -> list[str]:
        shown: list[str] = request.param(cells(records), Axes(metric=metric))
        return shown

    return found


Best = Callable[..., list[str]]


def test_a_destroyed_model_does_not_lead(best: Best) -> None:
    found = row(tuned=der(0.935, 0.02), wrecked=der(0.10, 0.0))
    assert best(found) == ["tuned"]
    assert best(found, "asr") == ["tuned"]
    assert best(row(wrecked=der(0.10, 0.0), wrong=der(0.2, 0.0))) == []


def test_der_weighs_what_a_defense_costs(best: Best) -> None:
    found = row(cheap=der(0.94, 0.1), dear=der(0.86, 0.06), idle=der(0.95, 0.99))
    counted = [one | {"tested": {"clean": 40_000, "triggered": 40_000}} for one in found]
    assert best(counted) == ["cheap"]
    assert best(counted, "asr") == ["dear"]


def test_a_lead_within_the_interval_is_none(best: Best) -> None:
    def seeds(*asr: float) -> list[dict[str, float]]:
        return [{"c_acc": 0.94, "asr": one} for one in asr]

    wide = row(tuned=seeds(0.31, 0.46, 0.59), pruned=seeds(0.2, 0.46, 0.74))  # 45.3 +- 35, 46.7 +- 67
    assert best(wide) == []
    assert best([*wide, *row(third=seeds(0.95, 0.96, 0.97))[3:]]) == []
    sharp = row(tuned=seeds(0.31, 0.32, 0.33), pruned=seeds(0.45, 0.46, 0.47), third=seeds(0.32, 0.33, 0.34))
    assert best(sharp) == ["third", "tuned"]


def test_a_lead_of_one_seed_is_judged_by_the_number_of_images(best: Best) -> None:
    def found(images: int, asr: float) -> list[dict[str, Any]]:
        rows = row(tuned={"c_acc": 0.94, "asr": 0.20}, pruned={"c_acc": 0.94, "asr": asr})
        return [one | {"tested": {"clean": images, "triggered": images}} for one in rows] if images else rows

    # Half the intervals of 20 % and 23 % are 2.5 and 2.6 points of 1,000 images, 0.8 of 10,000 each.
    assert best(found(1000, 0.23)) == []
    assert best(found(10_000, 0.23)) == ["tuned"]
    assert best(found(0, 0.20 + LEAD - 0.001)) == []
    assert best(found(0, 0.20 + LEAD + 0.001)) == ["tuned"]


def test_nobody_leads_where_the_attack_did_not_implant_or_the_victim_is_at_chance(best: Best) -> None:
    weak = row(victim={"c_acc": 0.95, "asr": 0.014}, tuned=der(0.94, 0.0), pruned=der(0.94, 0.9))
    assert best(weak) == []
    told = row(tuned=der(0.94, 0.0), pruned=der(0.94, 0.9))
    assert best(told) == ["tuned"]
    for doubt in (NOT_IMPLANTED, VICTIM_AT_CHANCE):
        assert best([told[0] | {"warnings": [doubt]}, *told[1:]]) == []


def test_a_warning_and_an_auroc_of_guessing_do_not_lead(best: Best) -> None:
    def detectors(one: float, other: float, **changes: Any) -> list[dict[str, Any]]:
        metrics = [{"auroc": auroc, "bdr_net": 0.5} for auroc in (one, other)]
        return [
            record("badnets", "strip", metrics=metrics[0], **changes),
            record("badnets", "probe", metrics=metrics[1]),
        ]

    assert best(detectors(0.9, 0.6)) == ["strip"]
    assert best(detectors(0.9, 0.6, warnings=["odd"])) == ["probe"]
    assert best(detectors(0.529, 0.4)) == []


def test_a_trigger_that_was_crafted_weaker_than_asked_bars_nobody(best: Best) -> None:
    records = row(one=der(0.94, 0.02), two=der(0.94, 0.9))
    for made in records:
        made["warnings"] = [f"{SHORTFALL}: neurons reached 4 % of the way"]
    assert best(records) == ["one"]


def test_a_defense_that_is_no_better_than_none_does_not_lead(best: Best) -> None:
    assert best(row(tuned={"c_acc": 0.94, "asr": 0.98}, pruned={"c_acc": 0.9, "asr": 1.0})) == []


def test_the_c_acc_floor_is_ten_points_below_the_better_of_both_models(best: Best) -> None:
    def tuned(c_acc: float, *more: dict[str, Any]) -> list[str]:
        return best([*row(tuned={"c_acc": c_acc, "asr": 0.1}, pruned={"c_acc": 0.95, "asr": 0.9}), *more])

    assert tuned(0.85) == ["tuned"]
    assert tuned(0.849) == ["pruned"]
    benign = record("none", "none", poison_rate=0.0, metrics={"c_acc": 0.97})
    assert tuned(0.85, benign) == ["pruned"]


def test_doubts_about_a_row_mark_every_cell_of_it() -> None:
    found = row(tuned=der(0.94, 0.0))
    found[0]["warnings"] = [VICTIM_AT_CHANCE]
    found += [record("badnets", "mna", defense_info={"kind": "model detector"}, metrics={"score": 2.0})]
    found += [record("blend", "tuned", metrics=der(0.94, 0.0))]
    text = to_text(matrix(cells(found), Axes()), "markdown")
    rows = markdown_rows(text)
    assert [part.endswith("!") for part in rows[1][1:]] == [True, True, True]
    assert not any("!" in part for part in rows[2])
    assert f"- {VICTIM_AT_CHANCE} (1 record)" in text


def test_margins_are_those_of_the_images_a_share_is_over() -> None:
    def of(name: str, metrics: dict[str, float], kind: str = "model repair") -> float:
        tested = {"clean": 1000, "triggered": 100}
        (cell,) = cells([record("a", "d", metrics=metrics, tested=tested, defense_info={"kind": kind})])
        return margin(cell, name)

    # Wilson, by hand: 1.96 sqrt(p (1 - p) / n + 1.96^2 / (4 n^2)) / (1 + 1.96^2 / n)
    assert of("c_acc", {"c_acc": 0.5}) == pytest.approx(0.03093, abs=1e-4)
    assert of("asr", {"asr": 0.5}) == pytest.approx(0.09617, abs=1e-4)
    assert of("der", {"der": 0.7, "asr": 0.5, "c_acc": 0.5}) == pytest.approx(0.05051, abs=1e-4)
    assert of("fpr", {"fpr": 0.5}, "training filter") == pytest.approx(LEAD / 2**0.5)
    assert of("seconds", {}) == 0
