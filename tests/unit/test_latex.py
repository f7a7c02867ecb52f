"""LaTeX tables that are longer than a page, wider than a line, or say a thing twice."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_records import MATRIX, cells, record

from benchkit.report.formats.latex import PAGE
from benchkit.report.formats.text import to_text
from benchkit.report.tables.cell import page
from benchkit.report.tables.matrix import Axes, matrix

DEFENSES = ("none", "strip:queries=100", "fine-pruning", "finetune", "neural-cleanse:rounds=5", "odd_one")


def many(rows: int, defenses: tuple[str, ...] = DEFENSES[:2], **changes: Any) -> list[dict[str, Any]]:
    return [
        record(f"att-{row:03}", defense, metrics={"c_acc": 0.9, "asr": row / 1000, "auroc": 0.5}, **changes)
        for row in range(rows)
        for defense in defenses
    ]


def written(records: list[dict[str, Any]]) -> str:
    return to_text(matrix(cells(records), Axes()), "latex")


def test_a_table_of_more_rows_than_a_page_has_goes_on_over_the_next() -> None:
    assert r"\begin{longtable}" not in written(many(PAGE))
    found = many(PAGE + 1, ("none", "fine-pruning"))
    found[1]["metrics"]["asr"] = 0.0
    found[-1] |= {"warnings": ["few images"]}
    for one in found[::2]:
        one["metrics"]["asr"] = 0.99
    found += [record("att-000", "nad", metrics={"c_acc": 0.9, "asr": 0.5})]
    text = written(found)
    assert r"\begin{table}" not in text
    assert r"\resizebox" not in text
    assert text.count(r"\begin{longtable}{lrrrrrr}") == 1
    head, _, body = text.partition(r"\endhead")
    assert head.count(r"attack & \multicolumn{2}{c}{none}") == 2  # on the first page and on those after it
    assert [body.count(f"att-{row:03} & ") for row in range(PAGE + 1)] == [1] * (PAGE + 1)
    assert r"\textbf{90.0} & \textbf{0.0}" in body
    assert r"\rlap{\textsuperscript{a}}\hphantom{\textsuperscript{a}} & \multicolumn{2}{r}{$\cdot$} \\" in body
    assert body.index(r"\end{longtable}") < body.index(r"\textsuperscript{a}~few images\quad")
    assert text.startswith("% \\usepackage{booktabs,graphicx,longtable}\n")


def test_a_longtable_that_is_wider_than_the_line_is_cut_between_columns() -> None:
    text = written(many(PAGE + 1, DEFENSES))
    tables = text.split(r"\begin{longtable}")[1:]
    assert len(tables) > 1
    heads = [name for table in tables for name in table.partition(r"\toprule")[2].splitlines()[1].split(" & ")[1:]]
    names = [re.fullmatch(r"\\multicolumn\{\d\}\{c\}\{(.*?)\}(?: \\\\)?", name) for name in heads]
    assert sorted(one[1] for one in names if one) == sorted(one.replace("_", r"\_") for one in DEFENSES)
    assert "columns 1 to " in tables[0]
    assert f" to {len(DEFENSES)} of {len(DEFENSES)}. One seed" in tables[-1]
    assert all(table.count("att-000 & ") == 1 for table in tables)


def test_a_warning_is_a_footnote_or_in_the_list_never_both() -> None:
    text = written(MATRIX)
    assert text.count(r"odd \textless{}tag\textgreater{}") == 1
    assert "Warnings" not in text
    assert "carries a warning, see below" not in text
    failed = record("badnets", "tuned", status="failed", error="boom", warnings=["slow"])
    text = written([record("badnets", "none", metrics={"asr": 1.0}), failed])
    assert r"\item slow (1 record)" in text
    warned = record("badnets", "none", metrics={"asr": 1.0}, warnings=["slow"])
    assert r"\item slow (1 record)" in to_text(page(cells([warned])), "latex")  # whose entries have no footnotes


def test_no_two_tables_have_one_label() -> None:
    named = ["image-folder:root=münchen", "image-folder:root=m nchen", "image-folder:root=m-nchen"]
    found = [one for name in named for one in many(1, dataset=name)]
    labels = re.findall(r"\\label\{(.*?)\}", written(found))
    assert len(labels) == len(set(labels)) == len(named)
    assert [one.removeprefix(labels[0]) for one in labels] == ["", "-2", "-3"]
    assert re.findall(r"\\label\{(.*?)\}", written(found)) == labels
    wide = [one for name in named[:2] for one in many(PAGE + 1, DEFENSES, dataset=name)]
    labels = re.findall(r"\\label\{(.*?)\}", written(wide))
    assert len(labels) == len(set(labels)) > 2


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
def test_latex_sets_a_hundred_rows_within_its_pages(tmp_path: Path) -> None:
    found = many(100, DEFENSES)
    for number, one in enumerate(found[:40]):
        one["warnings"] = [f"warning number {number} of those that a footnote tells of"]
    body = written(found)
    head = r"\documentclass{article}\usepackage{booktabs,graphicx,longtable}\begin{document}"
    (tmp_path / "doc.tex").write_text(f"{head}\n{body}\\end{{document}}\n", encoding="utf-8")
    for _ in range(2):  # longtable learns its widths in the first
        ran = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "doc.tex"],
            check=False,
            cwd=tmp_path,
            capture_output=True,
        )
    log = (tmp_path / "doc.log").read_text(encoding="latin-1")
    if "longtable.sty' not found" in log:
        pytest.skip("longtable is not here")
    assert ran.returncode == 0, log[-2000:]
    assert "Overfull" not in log
    assert "Float too large" not in log
