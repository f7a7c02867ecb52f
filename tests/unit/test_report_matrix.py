"""The matrix: its rows and columns, what is best in them, what is told of a cell, and its page."""

from __future__ import annotations

from typing import Any

import pytest
from report_records import MATRIX, cells, drawn, record
from table_rows import markdown_rows

from benchkit.errors import NothingToRun
from benchkit.report.formats.html import page_data
from benchkit.report.formats.text import to_text
from benchkit.report.tables.cell import page
from benchkit.report.tables.document import GLYPHS


def test_one_metric_in_the_rows_and_columns_that_can_have_it() -> None:
    rows = markdown_rows(drawn(MATRIX, metric="asr"))
    assert rows[0] == ["attack", "none", "strip", "fine-pruning", "odd\0a_b%"]
    assert [row[0] for row in rows[1:]] == ["badnets:size=5", "sig (clean-label)"]
    assert rows[1][1:] == ["98.0 ± 2.5", "n/a", "**30.0 (n=2)**", "20.0 ! (n=1)"]
    assert "n/a this metric does not exist for the cell" in drawn(MATRIX, metric="asr")


def test_each_table_keeps_only_what_has_the_metric() -> None:
    found = [
        record("none", "none", metrics={"c_acc": 0.9}),
        record("none", "strip", metrics={"fpr": 0.1}),
        record("badnets", "none", metrics={"asr": 0.9}),
        record("badnets", "strip", metrics={"auroc": 0.9}),
        record("sig", "strip", dataset="other", metrics={"auroc": 0.9}),
    ]
    text = drawn(found, rows="defense", cols="dataset", metric="asr")
    assert markdown_rows(text) == [["defense", "scenes"], ["none", "90.0"]]
    assert text.count("**ASR, attack") == 1
    assert "sig" not in text
    with pytest.raises(NothingToRun, match="no cell has a number for RA"):
        drawn(found, metric="ra")


def test_bold_says_by_which_number() -> None:
    def bold(**view: Any) -> str:
        lines = [line for line in drawn(MATRIX, **view).splitlines() if line.startswith("- Bold: ")]
        return "".join(lines).removeprefix("- Bold: best against that attack, ")

    answers = "among all that change the model's predictions"
    assert bold().startswith(
        f"by AUROC within its kind, by ASR {answers}; never with a warning (except of crafting) or more"
    )
    assert bold(metric="asr").startswith(f"by ASR {answers}; never with")
    assert bold(metric="c_acc").startswith(f"by C-Acc {answers}; never with")
    assert bold(metric="bdr_net").startswith("by BDR - control within its kind; never with")
    assert bold(metric="seconds") == ""


@pytest.mark.parametrize("metric", [None, "auroc", "bdr_net"])
def test_a_detector_of_nothing_but_processing_is_not_best(metric: str | None) -> None:
    def best(net: float, other: float) -> list[str]:
        rows = [record("badnets", "strip", metrics={"auroc": 0.9, "bdr_net": net})]
        rows += [record("badnets", "probe", metrics={"auroc": 0.6, "bdr_net": other})]
        heads, cells = markdown_rows(drawn(rows, metric=metric))
        return [head.split()[0] for head, text in zip(heads, cells, strict=True) if text.startswith("**")]

    assert best(0.2, 0.1) == ["strip"]
    assert best(0.0004, -0.1) == []
    assert best(-0.1, 0.1) == ["probe"]


def test_costs_are_metrics_too_and_a_record_may_say_otherwise() -> None:
    told = record("sig", "none", metrics={"seconds": 9.0})
    rows = markdown_rows(drawn([record("badnets", "none"), told], metric="seconds"))
    assert [row[1] for row in rows[1:]] == ["1.5", "9"]


def test_the_baseline_and_the_benign_row_never_win() -> None:
    found = [
        record("badnets", "none", metrics={"c_acc": 0.9, "asr": 0.99}),
        record("badnets", "fine-pruning", metrics={"c_acc": 0.89, "asr": 0.5}),
        record("badnets", "odd|a_b%", metrics={"c_acc": 0.81, "asr": 0.6}),
        record("none", "freq-detector", metrics={"fpr": 0.1}),
        record("none", "strip", metrics={"fpr": 0.2}),
    ]
    marked = [part for row in markdown_rows(drawn(found)) for part in row if part.startswith("**")]
    assert marked == ["**89.0 / 50.0**"]
    by_accuracy = [part for row in markdown_rows(drawn(found, metric="c_acc")) for part in row if part.startswith("**")]
    assert by_accuracy == ["**89.0**"]


def test_defenses_as_rows_compete_within_their_column() -> None:
    rows = markdown_rows(drawn(MATRIX, rows="defense", cols="attack"))
    assert rows[0] == ["defense", "none (benign)", "badnets:size=5", "sig (clean-label)"]
    assert [row[0] for row in rows[1:3]] == ["none (C-Acc / ASR)", "freq-detector (BDR - control / AUROC)"]
    assert [row[0] for row in rows[1:] if row[2].startswith("**")] == [
        "freq-detector (BDR - control / AUROC)",
        "fine-pruning (C-Acc / ASR)",
    ]


def test_other_axes_split_the_output_into_titled_tables() -> None:
    two = [record("badnets", "strip", dataset=name, metrics={"auroc": 0.9, "bdr_net": 0.8}) for name in ("a", "b")]
    text = drawn(two)
    assert "**dataset a, model narrownet" in text
    assert "**dataset b, model narrownet" in text
    assert markdown_rows(drawn(two, rows="dataset")) == [
        ["dataset", "strip (BDR - control / AUROC)"],
        ["a", "80.0 / 90.0"],
        ["b", "80.0 / 90.0"],
    ]
    assert "**attack badnets, model narrownet" in drawn(two, rows="dataset")
    sole = drawn(two, rows="dataset", cols="attack")
    assert "**defense strip (BDR - control / AUROC), model narrownet" in sole


def test_poison_rates_sort_by_size_and_share_the_benign_row() -> None:
    rates = [record("badnets", "strip", poison_rate=r, metrics={"auroc": r}) for r in (0.1, 0.01, 0.02)]
    benign = record("none", "strip", poison_rate=0.0, metrics={"fpr": 0.05})
    text = drawn([*rates, benign])
    assert [row[0] for row in markdown_rows(text)] == ["attack", "none (benign)", "badnets"] * 3
    assert text.index("rate 1 %") < text.index("rate 2 %") < text.index("rate 10 %")
    assert [row[0] for row in markdown_rows(drawn(rates, rows="poison_rate"))[1:]] == ["1 %", "2 %", "10 %"]


def test_the_newest_record_of_a_seed_wins_whatever_its_status() -> None:
    old = record("badnets", "strip", metrics={"auroc": 0.9, "bdr_net": 0.8}, finished="2026-11-20T22:10:00Z")
    new = record("badnets", "strip", metrics={"auroc": 0.4, "bdr_net": 0.3}, finished="2026-11-20T23:11:00+01:00")
    broken = record("badnets", "strip", status="failed", finished="2026-11-21T00:00:00Z")
    assert markdown_rows(drawn([new, old]))[1] == ["badnets", "30.0 / 40.0"]
    assert markdown_rows(drawn([broken, new, old]))[1] == ["badnets", "✗"]


def test_what_a_benign_row_does_is_told() -> None:
    def line(attack: str, **params: Any) -> list[str]:
        info = {"benign": True, "params": {"target": 0, "mapping": "all-to-one", **params}}
        text = drawn([record(attack, "none", attack_info=info, metrics={"c_acc": 0.4})])
        return [line for line in text.splitlines() if "no attack" in line]

    assert line("none") == []
    assert line("soften:blur=3", blur=3, gray=False) == [
        "- soften:blur=3: no attack; test images are processed (blur 3)"
    ]
    assert line("soften", blur=0, gray=False) == [
        "- soften: no attack; test images are processed (its defaults, see benchkit show soften)"
    ]


def test_a_store_of_failures_explains_its_signs_and_no_interval() -> None:
    states = ("failed", "timeout", "skipped")
    text = drawn([record("badnets", "strip", k, status=state, error="why") for k, state in enumerate(states)])
    assert f"{GLYPHS['failed']} failed, {GLYPHS['timeout']} ran out of time, {GLYPHS['skipped']} skipped" in text
    assert "seed" not in text.partition("**Assumptions")[0]
    some = [record("badnets", "strip", k, status="failed" if k else "ok", metrics={"auroc": 0.9}) for k in range(3)]
    assert "Mean over 3 seeds; an interval is shown from three seeds on" in drawn(some)
    told = to_text(page(cells([record("badnets", "strip", status="skipped", error="why")])), "markdown")
    assert f"- {GLYPHS['skipped']} skipped" in told


def test_a_metric_that_was_no_number_is_marked_and_told() -> None:
    text = drawn([record("badnets", "none", metrics={"c_acc": float("nan"), "asr": 0.5})])
    assert markdown_rows(text)[1] == ["badnets", "n/a / 50.0 !"]
    assert "or was no finite number" in text
    assert "! carries a warning, see below" in text
    assert "! carries" not in drawn([record("badnets", "none", metrics={"c_acc": 0.5, "asr": 0.5})])


def test_overlap_is_told() -> None:
    info = {"kind": "robust training", "stage": "training", "clean": 0.01, "overlap": True}
    text = drawn([record("badnets", "strip", defense_info=info)])
    assert "holds clean images worth 1 % of the training set; sees victim training images" in text


def test_a_model_detector_without_a_population_shows_its_score() -> None:
    info = {"kind": "model detector"}
    assert markdown_rows(drawn([record("badnets", "strip", defense_info=info, metrics={"score": 2.3})]))[1] == [
        "badnets",
        "score 2.3",
    ]


def test_a_page_tells_everything_about_a_cell() -> None:
    chosen = [c for c in cells(MATRIX) if (c.axis("attack"), c.axis("defense")) == ("badnets:size=5", "none")]
    text = to_text(page(chosen), "markdown")
    assert ["ASR (%)", "98.0", "2.5", "3"] in [row[:4] for row in markdown_rows(text)]
    assert ["cell", "1.5", "512"] in markdown_rows(text)
    for told in ("target 0", "0 ok, 1 ok, 2 ok", "benchkit 0.1.0", "device cpu", "95 % t-interval"):
        assert told in text, told


def test_a_row_that_was_poisoned_less_than_asked_says_so() -> None:
    def found(rate: float, poisoned: float) -> list[dict[str, Any]]:
        filtered = {"c_acc": 0.9, "asr": 0.5, "poisoned": poisoned}
        return [
            record("badnets", "none", poison_rate=rate, metrics={"c_acc": 0.9, "asr": 0.9}),
            record("badnets", "spectral", poison_rate=rate, metrics=filtered),
            record("blend", "none", poison_rate=rate, metrics={"c_acc": 0.9, "asr": 0.9, "poisoned": rate}),
        ]

    text = drawn(found(0.9, 0.5))
    assert [line[0] for line in markdown_rows(text)[1:]] == ["badnets (poisoned 50.0 %)", "blend"]
    assert "- badnets: 50.0 % of the training set was poisoned, not the requested 90 %" in text
    # Below 20 % the margin is two points, or a fifth of the rate, for whole images: 4 of 46 are 8.7 %.
    for rate, near, short in ((0.1, 0.087, 0.0795), (0.01, 0.0085, 0.0075), (0.3, 0.271, 0.25)):
        assert "was poisoned" not in drawn(found(rate, near))
        assert f"(poisoned {100 * short:.1f} %)" in drawn(found(rate, short))
    both = [*found(0.9, 0.5)[:2], *found(0.1, 0.1)[:2]]
    rates = ["10 %", "90 % (poisoned 50.0 %)"]
    assert [line[0] for line in markdown_rows(drawn(both, rows="poison_rate"))[1:]] == rates
    assert markdown_rows(drawn(both, cols="poison_rate"))[0][1:] == rates
    assert "poison rate 90 % (poisoned 50.0 %)**" in drawn(found(0.9, 0.5)[:2])
    benign = record("none", "spectral", poison_rate=0.9, metrics={"c_acc": 0.9, "poisoned": 0.0})
    assert "none (benign)" in [line[0] for line in markdown_rows(drawn([*found(0.9, 0.5), benign]))]
    chosen = [cell for cell in cells(found(0.9, 0.5)) if cell.axis("attack") == "badnets"]
    assert "50.0 % of the training set was poisoned" in to_text(page(chosen), "markdown")
    assert [cell["short"] for cell in page_data(chosen)["cells"]] == ["poisoned 50.0 %"] * 2


@pytest.mark.parametrize(
    ("access", "kind", "said"),
    [
        ("training", "training filter", True),
        ("training", "robust training", True),
        ("training", "model repair", False),
        ("data", "training filter", False),
    ],
)
def test_an_attacker_who_trains_is_no_part_of_what_a_defense_trains(access: str, kind: str, said: bool) -> None:
    metrics = {"c_acc": 0.9, "asr": 0.9}
    found = [
        record("wanet", name, metrics=metrics, attack_info={"access": access}, defense_info={"kind": of})
        for name, of in (("none", "baseline"), ("filter", kind))
    ]
    assert ("- wanet: its attacker trains the undefended victim" in drawn(found)) == said
