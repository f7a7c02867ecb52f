"""The tables in each format: what they look like, and what text from outside may not do to them."""

from __future__ import annotations

import io

import pytest
from report_records import MATRIX, cells, drawn, record
from rich.cells import cell_len
from rich.console import Console
from table_rows import squeezed

from benchkit.errors import NothingToRun
from benchkit.records.record import parse
from benchkit.report.formats.printing import print_matrix
from benchkit.report.formats.text import to_console, to_text
from benchkit.report.tables.matrix import Axes, matrix

MARKDOWN = r"""
**dataset scenes, model narrownet, recipe fast, poison rate 10 %**

| attack            | none (C-Acc / ASR)      | freq-detector (BDR - control / AUROC)   | strip (BDR - control / AUROC)   | fine-pruning (C-Acc / ASR)   | odd\|a_b% (C-Acc / ASR)   |
|-------------------|-------------------------|-----------------------------------------|---------------------------------|------------------------------|---------------------------|
| none (benign)     | C-Acc 92.0 (n=1)        | FPR 5.0 (n=1)                           | ·                               | ·                            | ·                         |
| badnets:size=5    | 90.0 ± 0.0 / 98.0 ± 2.5 | **90.0 / 98.7 (n=1)**                   | 0.0 / 50.0 (n=1)                | **85.0 / 30.0 (n=2)**        | 70.0 / 20.0 ! (n=1)       |
| sig (clean-label) | ·                       | ·                                       | ⏱                               | ✗                            | –                         |

**Legend**

- C-Acc (%, higher is better): share of clean test images that are classified correctly
- FPR (%, lower is better): false alarms, the share of clean images (or models) that are flagged
- ASR (%, lower is better): attack success rate, share of triggered test images of other classes that end in the target class
- BDR - control (%, higher is better): BDR minus FPR control: what is owed to the trigger itself
- AUROC (%, higher is better): chance that a triggered input (or a backdoored model) outscores a clean one; 50 is guessing
- ✗ failed, ⏱ ran out of time, – skipped, · not run
- Bold: best against that attack, by AUROC within its kind, by ASR among all that change the model's predictions; never with a warning (except of crafting) or more than 10 points of C-Acc below the undefended or the benign model, nor if no defense, guessing or the processing alone is as good
- Defenses not clearly worse than the best are bold, too; none is if these are all of them, or if one of these may be no better than no defense; clearly: by more than both half intervals together (root of their summed squares): ± or \[low, high\] if shown, else the binomial interval over the test images, or 5 points if a record does not give their number
- ! carries a warning, see below
- Mean over 3 seeds; ± is its 95 % t-interval; (n=...) for fewer seeds

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
    assert drawn(MATRIX) == MARKDOWN.lstrip("\n")


LATEX = r"""
% \usepackage{booktabs,graphicx,longtable}
\begin{table}
\centering
\caption{dataset scenes, model narrownet, recipe fast, poison rate 10 \%. Mean over 3 seeds; $\pm$ is its 95 \% t-interval. ASR is over triggered test images of other classes than the target}
\label{tab:dataset-scenes-model-narrownet-recipe-fast-poison-rate-10}
\sbox0{%
\begin{tabular}{lrrrrrr}
\toprule
attack & \multicolumn{2}{c}{none} & \multicolumn{2}{c}{fine-pruning} & \multicolumn{2}{c}{odd\textbar{}a\_b\%} \\
 & \multicolumn{1}{c}{C-Acc} & \multicolumn{1}{c}{ASR} & \multicolumn{1}{c}{C-Acc} & \multicolumn{1}{c}{ASR} & \multicolumn{1}{c}{C-Acc} & \multicolumn{1}{c}{ASR} \\
\midrule
badnets:size=5 & 90.0 $\pm$ 0.0 & 98.0 $\pm$ 2.5 & \textbf{85.0} & \textbf{30.0}\rlap{\textsuperscript{a}}\hphantom{\textsuperscript{a}} & 70.0 & 20.0\rlap{\textsuperscript{b,c}}\hphantom{\textsuperscript{b,c}} \\
sig (clean-label) & \multicolumn{2}{r}{$\cdot$} & \multicolumn{2}{r}{$\times$\hphantom{\textsuperscript{a}}} & \multicolumn{2}{r}{--\hphantom{\textsuperscript{b,c}}} \\
\bottomrule
\end{tabular}}
\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi

\smallskip
\begin{minipage}{\linewidth}\footnotesize\raggedright
\textsuperscript{a}~n=2\quad
\textsuperscript{b}~n=1\quad
\textsuperscript{c}~odd \textless{}tag\textgreater{}\quad
\end{minipage}
\end{table}
"""  # noqa: E501


def test_latex_escapes_names_and_marks_the_best() -> None:
    some = [found for found in MATRIX if found["defense_info"]["kind"] in ("baseline", "model repair")]
    text = to_text(matrix(cells(some[1:]), Axes()), "latex")
    assert squeezed(text).startswith(squeezed(LATEX))
    assert r"\item $\times$ the 100\% loss\_sum is not finite" in text
    assert text.count(r"odd \textless{}tag\textgreater{}") == 1


def test_latex_has_footnotes_for_fewer_seeds_and_warnings() -> None:
    fixed = record("badnets", "tuned", metrics={"c_acc": 0.8125, "asr": 0.00125}, warnings=["odd"])
    plain = [record("badnets", "none", k, metrics={"c_acc": 0.9, "asr": 0.97 + k / 100}) for k in range(3)]
    failed = record("badnets", "tuned", 1, status="failed", error="the loss is not finite")
    text = to_text(matrix(cells([*plain, fixed, failed]), Axes()), "latex")
    assert r"\textbf" not in text
    assert r"81.2 & 0.1\rlap{\textsuperscript{a,b}}" in text
    assert r"\textsuperscript{a}~n=1\quad" in text
    assert r"\textsuperscript{b}~odd\quad" in text
    assert "% \\usepackage{booktabs,graphicx,longtable}\n" in text


def test_latex_puts_means_below_each_other_whatever_their_intervals() -> None:
    spread = [record("badnets", "none", k, metrics={"c_acc": 0.9, "asr": 0.2 + k / 10}) for k in range(3)]
    close = [record("sig", "none", k, metrics={"c_acc": 0.9, "asr": 0.2 + k / 1000}) for k in range(3)]
    single = [record("blend", "none", metrics={"c_acc": 0.9, "asr": 1.0})]
    text = to_text(matrix(cells([*spread, *close, *single]), Axes()), "latex")
    assert r"& 30.0 $\pm$ 24.8\rlap{\textsuperscript{a}}" in text
    assert r"& 20.1 $\pm$ \hphantom{2}0.2\rlap{\textsuperscript{a}}" in text
    assert r"& 100.0\rlap{\textsuperscript{b}}\hphantom{ $\pm$ 24.8}" in text


def test_latex_takes_no_name_for_a_command() -> None:
    names = [r"\input{x}", "[1]", "*", "a~^`$#%&_{}", "中\U0001f600", "ü"]
    text = to_text(matrix(cells([record(name, "d", metrics={"asr": 1.0}) for name in names]), Axes()), "latex")
    heads = [
        line.split(" & ")[0] for line in text.partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines()
    ]
    assert sorted(heads) == sorted([
        r"\textbackslash{}input\{x\}", "{[}1{]}", "{*}",
        r"a\textasciitilde{}\textasciicircum{}\textasciigrave{}\$\#\%\&\_\{\}", "{[}U+4E2D{]}{[}U+1F600{]}", "ü",
    ])  # fmt: skip


def test_html_escapes_and_marks_the_best() -> None:
    text = to_text(matrix(cells(MATRIX), Axes()), "html-table")
    assert "<b>85.0 / 30.0 (n=2)</b>" in text
    assert "odd &lt;tag&gt; (1 record)" in text
    assert "<tag>" not in text
    assert text.count("<tr>") == 4


def test_a_terminal_gets_whole_columns_in_as_many_parts_as_it_needs() -> None:
    def lines(width: int) -> list[str]:
        file = io.StringIO()
        console = Console(file=file, width=width, force_terminal=True, no_color=True, color_system=None)
        to_console(matrix(cells(MATRIX), Axes()), console)
        return file.getvalue().splitlines()

    assert sum("badnets:size=5 " in line and "│" in line for line in lines(200)) == 1
    narrow = lines(80)
    assert sum("badnets:size=5 " in line and "│" in line for line in narrow) == 3
    assert max(map(len, narrow)) <= 80
    assert "…" not in "".join(narrow)
    for shown in ("90.0 ± 0.0 / 98.0 ± 2.5", "98.7 (n=1)", "85.0 / 30.0 (n=2)", "odd|a_b%"):
        assert any(shown in line for line in narrow), shown


LONG = "invisible:base=troj-sq,band=low"


@pytest.mark.parametrize("width", [56, 44, 20])
def test_a_terminal_too_narrow_for_one_column_wraps_heads_and_loses_no_digit(width: int) -> None:
    values = [{"bdr_net": 0.04 + k / 500, "auroc": 0.6 + k / 46} for k in range(3)]
    rows = [record(LONG, "freq-detector", k, metrics=values[k]) for k in range(3)]
    rows += [record("中文" * 12, "strip:" + "queries=1000," * 6 + "x=1", metrics={"bdr_net": 0.123, "auroc": 0.987})]
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, no_color=True, color_system=None)
    to_console(matrix(cells(rows), Axes()), console)
    lines = file.getvalue().splitlines()
    for number in ("4.2 ± 0.5 / 62.2 ± 5.4", "12.3 / 98.7 (n=1)"):
        assert any(f" {number} " in line for line in lines), number
    body = [line.split("│")[1:3] for line in lines if line.startswith("│")]
    written = "".join(name.strip() for name, _ in body)
    assert LONG in written
    assert "中文" * 12 in written
    heads = "".join(line.split("┃")[2].strip() for line in lines if line.startswith("┃"))
    assert "strip:" + "queries=1000," * 6 + "x=1" in heads
    assert "…" not in "".join(lines)
    assert width == 20 or max(map(cell_len, lines)) <= width


def test_markdown_leaves_intervals_as_they_read_and_names_as_they_are() -> None:
    info = {"kind": "model detector"}
    metrics = {"auroc": 0.9, "auroc_low": 0.7, "auroc_high": 1.0, "models": 8}
    text = drawn([record("[1, a](x)", "mna", defense_info=info, metrics=metrics)])
    assert "| 90.0 [70.0, 100.0] |" in text
    assert "\\[1, a\\](x)" in text
    assert "\\[1, 2\\](x)" in drawn([record("[1, 2](x)", "strip")])
    wide = [record("badnets", "strip", k, metrics={"auroc": k / 2, "bdr_net": k / 2}) for k in range(3)]
    assert "50.0 ± >50 / 50.0 ± >50" in drawn(wide)


@pytest.mark.parametrize(
    ("warning", "item"),
    [
        ("# big", "- \\# big"),
        ("+ more", "- \\+ more"),
        ("- less", "- \\- less"),
        ("1. first", "- 1\\. first"),
        ("2) second", "- 2\\) second"),
        ("-0.5 of 1.5 # +1", "- -0.5 of 1.5 # +1"),
        ("0.5 is low", "- 0.5 is low"),
    ],
)
def test_what_opens_a_markdown_block_is_text_in_an_item(warning: str, item: str) -> None:
    lines = drawn([record("badnets", "strip", metrics={"auroc": 0.9}, warnings=[warning])]).splitlines()
    assert [line for line in lines if line.startswith(item)]


def test_rich_markup_in_names_is_text() -> None:
    file = io.StringIO()
    odd = record("bad[/bold]", "none", metrics={"c_acc": 1.0, "asr": 1.0})
    to_console(matrix(cells([odd]), Axes()), Console(file=file, width=200))
    assert "bad[/bold]" in file.getvalue()


def test_records_cannot_steer_the_terminal() -> None:
    text = drawn([record("badnets", "strip", status="failed", error="\x1b[31mred\nline \u202e end")])
    assert "[31mred line end" in text.replace("\\", "")
    assert "\x1b" not in text


def test_run_prints_the_matrix_of_its_own_records(capsys: pytest.CaptureFixture[str]) -> None:
    found = [one for one in map(parse, MATRIX) if one]
    print_matrix(found, tty=False)
    assert capsys.readouterr().out == MARKDOWN.lstrip("\n")
    print_matrix(found, tty=True)
    assert "┃" in capsys.readouterr().out
    with pytest.raises(NothingToRun):
        print_matrix([])
