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
from rich.console import Console

from benchkit.errors import NothingToRun, StoreError
from benchkit.report import print_matrix
from benchkit.report.aggregate import Cell, cells_of
from benchkit.report.export import to_csv, to_json
from benchkit.report.load import parse, read
from benchkit.report.matrix import View, matrix
from benchkit.report.page import page
from benchkit.report.render import to_console, to_text

KINDS = {
    "none": "baseline",
    "freq-detector": "input detector",
    "strip": "input detector",
    "fine-pruning": "model repair",
    "odd|a_b%": "model repair",
}


def record(attack: str, defense: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    benign = attack == "none"
    info = {"access": "data", "label_policy": "clean" if attack == "sig" else "dirty"}
    found = {
        "schema": 1, "key": f"{attack}-{defense}-{seed}", "dataset": "scenes", "model": "narrownet",
        "recipe": "fast", "attack": attack, "defense": defense, "seed": seed, "poison_rate": 0.1,
        "status": "ok", "error": None, "metrics": {}, "warnings": [],
        "attack_info": {**info, "benign": benign, "params": {"target": 0}},
        "defense_info": {"kind": KINDS[defense], "stage": "inference", "clean": 0.05, "overlap": False},
        "costs": {"cell": {"seconds": 1.5, "peak_mb": 512}}, "versions": {"benchkit": "0.1.0"},
        "device": "cpu", "threads": 1, "finished": "2026-11-20T22:10:00Z",
    }  # fmt: skip
    return found | changes


# Three seeds of BadNets against nothing and fine-pruning; one failed, one timed out, one skipped.
RECORDS = [
    record("none", "none", metrics={"c_acc": 0.92}),
    record("none", "freq-detector", metrics={"fpr": 0.05}),
    *[record("badnets:size=5", "none", k, metrics={"c_acc": 0.9, "asr": 0.97 + k / 100}) for k in range(3)],
    *[record("badnets:size=5", "fine-pruning", k, metrics={"c_acc": 0.8, "asr": 0.3}) for k in (0, 1)],
    record("badnets:size=5", "fine-pruning", 2, status="failed", error="the 100% loss_sum is not finite"),
    record("badnets:size=5", "odd|a_b%", metrics={"c_acc": 0.7, "asr": 0.2}, warnings=["odd <tag>"]),
    record("badnets:size=5", "freq-detector", metrics={"auroc": 0.987, "bdr_net": 0.9}),
    record("badnets:size=5", "strip", metrics={"auroc": 0.5, "bdr_net": 0.0}),
    record("sig", "strip", status="timeout", error="took longer than 60 s"),
    record("sig", "fine-pruning", status="failed", error="the 100% loss_sum is not finite"),
    record("sig", "odd|a_b%", status="skipped", error="needs 10 classes"),
]


def cells(records: list[dict[str, Any]]) -> list[Cell]:
    parsed = [parse(found) for found in records]
    return cells_of([found for found in parsed if found])


def rows_of(text: str) -> list[list[str]]:
    """The cells of every markdown table row, heads included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|-")]
    return [[part.strip() for part in line.replace("\\|", "\0").split("|")[1:-1]] for line in lines]


def drawn(records: list[dict[str, Any]], **view: Any) -> str:
    return to_text(matrix(cells(records), View(**view)), "markdown")


MARKDOWN = r"""
**dataset scenes, model narrownet, recipe fast, poison rate 10 %**

| attack            | none (C-Acc / ASR)      | freq-detector (BDR - control / AUROC)   | strip (BDR - control / AUROC)   | fine-pruning (C-Acc / ASR)   | odd\|a_b% (C-Acc / ASR)   |
|-------------------|-------------------------|-----------------------------------------|---------------------------------|------------------------------|---------------------------|
| none (benign)     | C-Acc 92.0 (n=1)        | FPR 5.0 (n=1)                           | ·                               | ·                            | ·                         |
| badnets:size=5    | 90.0 ± 0.0 / 98.0 ± 2.5 | **90.0 / 98.7 (n=1)**                   | 0.0 / 50.0 (n=1)                | 80.0 / 30.0 (n=2)            | **70.0 / 20.0 (n=1)**     |
| sig (clean-label) | ·                       | ·                                       | ⏱                               | ✗                            | –                         |

**Legend**

- C-Acc (%, higher is better): share of clean test images that are classified correctly
- FPR (%, lower is better): false alarms, the share of clean images (or models) that are flagged
- ASR (%, lower is better): attack success rate, share of triggered test images of other classes that end in the target class
- BDR - control (%, higher is better): BDR minus FPR control: what is owed to the trigger itself
- AUROC (%, higher is better): chance that a triggered input (or a backdoored model) outscores a clean one; 50 is guessing
- ✗ failed, ⏱ ran out of time, – skipped, · not run
- Bold: best against that attack, by ASR among all that change what the model answers, else within its kind
- Mean over 3 seeds; ± is its 95 % t-interval; (n=...) where fewer seeds count

**Assumptions**

- badnets:size=5: attacker with data access, dirty label
- sig: attacker with data access, clean label
- fine-pruning: model repair, inference; holds clean images worth 5 % of the training set
- freq-detector: input detector, inference; holds clean images worth 5 % of the training set
- odd\|a_b%: model repair, inference; holds clean images worth 5 % of the training set
- strip: input detector, inference; holds clean images worth 5 % of the training set

**Failed, timed out or skipped**

- ✗ the 100% loss_sum is not finite \[badnets:size=5 x fine-pruning seed 2; sig x fine-pruning seed 0\]
- – needs 10 classes \[sig x odd\|a_b% seed 0\]
- ⏱ took longer than 60 s \[sig x strip seed 0\]

**Warnings**

- odd \<tag\> (1 record)
"""  # noqa: E501, RUF001


def test_the_matrix_in_markdown_is_the_golden_one() -> None:
    assert drawn(RECORDS) == MARKDOWN.lstrip("\n")


LATEX = r"""
% \usepackage{booktabs,graphicx}
\begin{table}
\centering
\caption{dataset scenes, model narrownet, recipe fast, poison rate 10 \%}
\sbox0{%
\begin{tabular}{llll}
\toprule
attack & none & fine-pruning & odd\textbar{}a\_b\% \\
 & (C-Acc / ASR) & (C-Acc / ASR) & (C-Acc / ASR) \\
\midrule
badnets:size=5 & 90.0 $\pm$ 0.0 / 98.0 $\pm$ 2.5 & 80.0 / 30.0\textsuperscript{a} & \textbf{70.0 / 20.0}\textsuperscript{b,c} \\
sig (clean-label) & $\cdot$ & $\times$ & -- \\
\bottomrule
\end{tabular}}
\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi

\smallskip
\begin{minipage}{\linewidth}\footnotesize
\textsuperscript{a}~n=2\quad
\textsuperscript{b}~n=1\quad
\textsuperscript{c}~odd \textless{}tag\textgreater{}\quad
\end{minipage}
\end{table}
"""  # noqa: E501


def squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def test_latex_escapes_names_and_marks_the_best() -> None:
    some = [found for found in RECORDS if KINDS[found["defense"]] in ("baseline", "model repair")]
    text = to_text(matrix(cells(some[1:]), View()), "latex")
    assert squeezed(text).startswith(squeezed(LATEX))
    assert r"\item $\times$ the 100\% loss\_sum is not finite" in text
    assert r"\item odd \textless{}tag\textgreater{} (1 record)" in text


def test_html_escapes_and_marks_the_best() -> None:
    text = to_text(matrix(cells(RECORDS), View()), "html-table")
    assert "<b>70.0 / 20.0 (n=1)</b>" in text
    assert "odd &lt;tag&gt; (1 record)" in text
    assert "<tag>" not in text
    assert text.count("<tr>") == 4


def test_a_terminal_gets_whole_columns_in_as_many_parts_as_it_needs() -> None:
    def lines(width: int) -> list[str]:
        console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, color_system=None)
        to_console(matrix(cells(RECORDS), View()), console)
        return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]

    assert sum("badnets:size=5 " in line and "│" in line for line in lines(200)) == 1
    narrow = lines(80)
    assert sum("badnets:size=5 " in line and "│" in line for line in narrow) == 3
    assert max(map(len, narrow)) <= 80
    assert "…" not in "".join(narrow)
    for shown in ("90.0 ± 0.0 / 98.0 ± 2.5", "98.7 (n=1)", "80.0 / 30.0 (n=2)", "odd|a_b%"):
        assert any(shown in line for line in narrow), shown


def test_rich_markup_in_names_is_text() -> None:
    console = Console(file=io.StringIO(), width=200)
    odd = record("bad[/bold]", "none", metrics={"c_acc": 1.0, "asr": 1.0})
    to_console(matrix(cells([odd]), View()), console)
    assert "bad[/bold]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_one_metric_in_the_rows_and_columns_that_can_have_it() -> None:
    rows = rows_of(drawn(RECORDS, metric="asr"))
    assert rows[0] == ["attack", "none", "strip", "fine-pruning", "odd\0a_b%"]
    assert [row[0] for row in rows[1:]] == ["badnets:size=5", "sig (clean-label)"]
    assert rows[1][1:] == ["98.0 ± 2.5", "n/a", "30.0 (n=2)", "**20.0 (n=1)**"]
    assert "n/a this metric does not exist for the cell" in drawn(RECORDS, metric="asr")


def test_costs_are_metrics_too_and_a_record_may_say_otherwise() -> None:
    told = record("sig", "none", metrics={"seconds": 9.0})
    rows = rows_of(drawn([record("badnets", "none"), told], metric="seconds"))
    assert [row[1] for row in rows[1:]] == ["1.5", "9"]


def test_the_baseline_and_the_benign_row_never_win() -> None:
    found = [
        record("badnets", "none", metrics={"c_acc": 0.9, "asr": 0.0}),
        record("badnets", "fine-pruning", metrics={"c_acc": 0.9, "asr": 0.5}),
        record("badnets", "odd|a_b%", metrics={"c_acc": 0.9, "asr": 0.6}),
        record("none", "freq-detector", metrics={"fpr": 0.1}),
        record("none", "strip", metrics={"fpr": 0.2}),
    ]
    marked = [part for row in rows_of(drawn(found)) for part in row if part.startswith("**")]
    assert marked == ["**90.0 / 50.0**"]


def test_defenses_as_rows_compete_within_their_column() -> None:
    rows = rows_of(drawn(RECORDS, rows="defense", cols="attack"))
    assert rows[0] == ["defense", "none (benign)", "badnets:size=5", "sig (clean-label)"]
    assert [row[0] for row in rows[1:3]] == ["none (C-Acc / ASR)", "freq-detector (BDR - control / AUROC)"]
    assert [row[0] for row in rows[1:] if row[2].startswith("**")] == [
        "freq-detector (BDR - control / AUROC)",
        "odd\0a_b% (C-Acc / ASR)",
    ]


def test_other_axes_split_the_output_into_titled_tables() -> None:
    two = [record("badnets", "strip", dataset=name, metrics={"auroc": 0.9, "bdr_net": 0.8}) for name in ("a", "b")]
    text = drawn(two)
    assert "**dataset a, model narrownet" in text
    assert "**dataset b, model narrownet" in text
    assert rows_of(drawn(two, rows="dataset")) == [
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
    assert [row[0] for row in rows_of(text)] == ["attack", "none (benign)", "badnets"] * 3
    assert text.index("rate 1 %") < text.index("rate 2 %") < text.index("rate 10 %")
    assert [row[0] for row in rows_of(drawn(rates, rows="poison_rate"))[1:]] == ["1 %", "2 %", "10 %"]


def test_the_newest_record_of_a_seed_wins_whatever_its_status() -> None:
    old = record("badnets", "strip", metrics={"auroc": 0.9, "bdr_net": 0.8}, finished="2026-11-20T22:10:00Z")
    new = record("badnets", "strip", metrics={"auroc": 0.4, "bdr_net": 0.3}, finished="2026-11-20T23:11:00+01:00")
    broken = record("badnets", "strip", status="failed", finished="2026-11-21T00:00:00Z")
    assert rows_of(drawn([new, old]))[1] == ["badnets", "30.0 / 40.0"]
    assert rows_of(drawn([broken, new, old]))[1] == ["badnets", "✗"]


def test_overlap_is_told() -> None:
    info = {"kind": "robust training", "stage": "training", "clean": 0.01, "overlap": True}
    text = drawn([record("badnets", "strip", defense_info=info)])
    assert "holds clean images worth 1 % of the training set; sees victim training images" in text


def test_a_model_detector_without_a_population_shows_its_score() -> None:
    info = {"kind": "model detector"}
    assert rows_of(drawn([record("badnets", "strip", defense_info=info, metrics={"score": 2.3})]))[1] == [
        "badnets",
        "score 2.3",
    ]


def test_a_page_tells_everything_about_a_cell() -> None:
    chosen = [c for c in cells(RECORDS) if (c.axis("attack"), c.axis("defense")) == ("badnets:size=5", "none")]
    text = to_text(page(chosen), "markdown")
    assert ["ASR (%)", "98.0", "2.5", "3"] in [row[:4] for row in rows_of(text)]
    assert ["cell", "1.5", "512"] in rows_of(text)
    for told in ("target 0", "0 ok, 1 ok, 2 ok", "benchkit 0.1.0", "device cpu", "95 % t-interval"):
        assert told in text, told


def test_json_is_what_was_promised() -> None:
    found = json.loads(to_json(cells(RECORDS)))
    pruned = next(c for c in found if (c["attack"], c["defense"]) == ("badnets:size=5", "fine-pruning"))
    assert pruned == {
        "attack": "badnets:size=5", "defense": "fine-pruning", "dataset": "scenes", "model": "narrownet",
        "recipe": "fast", "poison_rate": 0.1, "seeds": [0, 1, 2], "status": "failed",
        "metrics": {
            "c_acc": {"mean": 0.8, "ci95": None, "n": 2},
            "asr": {"mean": 0.3, "ci95": None, "n": 2},
            "seconds": {"mean": 1.5, "ci95": None, "n": 2},
            "peak_mb": {"mean": 512.0, "ci95": None, "n": 2},
        },
    }  # fmt: skip
    assert len(found) == 10


def test_csv_is_tidy_and_keeps_cells_without_results() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(cells(RECORDS), only="asr"))))
    assert len(rows) == 10
    attacked = next(row for row in rows if (row["attack"], row["defense"]) == ("badnets:size=5", "none"))
    assert float(attacked["mean"]) == pytest.approx(0.98)
    assert float(attacked["ci95"]) == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    timeout = next(row for row in rows if row["status"] == "timeout")
    assert (timeout["metric"], timeout["mean"], timeout["n"]) == ("", "", "0")


NAME = st.sampled_from(["badnets", "sig", "we|ird_%", "none"])
FOUND = st.builds(
    lambda a, d, k, status, rate, metrics, when: record(
        a, d, k, status=status, poison_rate=rate, metrics=metrics, finished=f"2026-11-20T22:1{when}:00Z"
    ),
    NAME,
    st.sampled_from(sorted(KINDS)),
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
    (tmp_path / "elsewhere.json").write_text(json.dumps(record("sig", "strip")))
    found, warnings = read(tmp_path)
    assert [one.attack for one in found] == ["badnets"]
    assert len(warnings) == 1
    assert "ignored 2 files that are not a benchkit record of schema 1" in warnings[0]
    assert "notes.json" in warnings[0]
    assert [one.attack for one in read(place)[0]] == ["badnets"]


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


def test_records_cannot_steer_the_terminal() -> None:
    text = drawn([record("badnets", "strip", status="failed", error="\x1b[31mred\nline \u202e end")])
    assert "[31mred line end" in text.replace("\\", "")
    assert "\x1b" not in text


def test_run_prints_the_matrix_of_its_own_records(capsys: pytest.CaptureFixture[str]) -> None:
    print_matrix(RECORDS, tty=False)
    assert capsys.readouterr().out == MARKDOWN.lstrip("\n")
    print_matrix(RECORDS, tty=True)
    assert "┃" in capsys.readouterr().out
    with pytest.raises(NothingToRun):
        print_matrix([])
