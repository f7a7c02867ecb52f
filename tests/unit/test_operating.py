"""BDR at the published FPR, and cells that were not made as the published number was."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from published_files import HEAD, published
from report_records import cells, record

from benchkit.errors import SpecError
from benchkit.report.formats.export import pairs_to_csv, pairs_to_json
from benchkit.report.formats.text import to_text
from benchkit.report.published.operating import bdr_at
from benchkit.report.published.pairs import Comparison, compare, stand_ins
from benchkit.report.published.tables import against

WIDE = HEAD.rstrip("\n") + ",fpr,made_with,recipe\n"
ROC = {"fpr": [0.0, 0.02, 0.1, 0.2, 1.0], "tpr": [0.0, 0.2, 0.5, 0.9, 1.0]}


def detector(seed: int = 0, roc: Any = ROC, params: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    info = {"kind": "input detector", "params": params or {}}
    metrics = {"acc_argmax": 0.6, "bdr_argmax": 0.22, "fpr_argmax": 0.02}
    curves = {"roc": roc} if roc else {}
    fixed = {"metrics": metrics, "curves": curves, "defense_info": info, "dataset": "gtsrb"}
    return record("badnets", "probe", seed, **(fixed | changes))


def compared(folder: Path, text: str, *records: dict[str, Any], only: str | None = None) -> Comparison:
    found, rows = cells(list(records)), published(folder, text)
    return compare(found, stand_ins((), rows, found), only)


def told(comparison: Comparison) -> str:
    return to_text(against(comparison), "markdown").replace("\\", "")


ACC = "s,badnets,probe,gtsrb,acc_argmax,0.9023,,,,\n"  # implies an FPR of 1 + .9255 - 2 x .9023 = 12.09 %
BDR = "s,badnets,probe,gtsrb,bdr_argmax,0.9255,,{fpr},{made},{recipe}\n"


def bdr(fpr: str = "", made: str = "", recipe: str = "") -> str:
    return BDR.format(fpr=fpr, made=made, recipe=recipe)


def test_bdr_is_read_off_the_curve_at_the_fpr_that_the_published_acc_implies(tmp_path: Path) -> None:
    text = told(compared(tmp_path, WIDE + ACC + bdr(), detector()))
    # At 12.09 % the curve is 0.209 of the way from 50 to 90: 58.36.
    assert "probe (BDR argmax)" in text
    assert "22.00 / 92.55 / -70.55 " in text
    assert "probe (BDR at the published FPR)" in text
    assert "58.36 / 92.55 / -34.19 (FPR 12.1)" in text
    assert "(FPR x): the published FPR" in text
    assert "not told" not in text


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (ACC + bdr(fpr="0.1"), "50.00 / 92.55 / -42.55 (FPR 10.0)"),
        (ACC + bdr() + "s,badnets,probe,gtsrb,fpr_argmax,0.2,,,,\n", "90.00 / 92.55 / -2.55 (FPR 20.0)"),
        (bdr(fpr="0"), "0.00 / 92.55 / -92.55 (FPR 0.0)"),
        (bdr(fpr="1"), "100.00 / 92.55 / +7.45 (FPR 100.0)"),
    ],
)
def test_the_published_fpr_is_what_the_file_states_before_what_it_implies(
    tmp_path: Path, rows: str, shown: str
) -> None:
    assert shown in told(compared(tmp_path, WIDE + rows, detector()))


def test_where_the_fpr_or_the_curve_is_not_known_it_is_said(tmp_path: Path) -> None:
    silent = told(compared(tmp_path, WIDE + bdr(), detector()))
    assert "- BDR at the published FPR is missing, since no FPR is published with it: badnets x probe" in silent
    assert "(FPR " not in silent
    for roc in (None, {"fpr": [0, 2], "tpr": [0, 1]}):
        flat = told(compared(tmp_path, WIDE + ACC + bdr(), detector(roc=roc)))
        assert "- BDR at the published FPR is missing, since no record has a ROC curve: badnets x probe" in flat
        assert "(FPR " not in flat
    assert "not told" not in told(compared(tmp_path, WIDE + ACC + bdr(), detector(), only="acc_argmax"))


def test_it_is_a_mean_over_the_seeds_that_have_a_curve(tmp_path: Path) -> None:
    higher = {"fpr": [0.0, 0.1, 1.0], "tpr": [0.0, 0.7, 1.0]}
    found = [detector(0), detector(1, roc=higher), detector(2, roc=None)]
    (cell,) = cells(found)
    summary = bdr_at(cell, 0.1)
    assert summary is not None
    assert summary.mean == pytest.approx(0.6)
    assert summary.n == 2
    assert "60.00 / 92.55 / -32.55 (FPR 10.0) (n=2)" in told(compared(tmp_path, WIDE + bdr(fpr="0.1"), *found))
    steep = {"fpr": [0.0, 0.0, 1.0], "tpr": [0.0, 0.8, 1.0]}
    (cell,) = cells([detector(roc=steep)])
    assert bdr_at(cell, 0.0) == bdr_at(cell, -0.0)
    assert [one.mean for one in [bdr_at(cell, 0.0), bdr_at(cell, 1.0)] if one] == [0.8, 1.0]


def test_a_cell_that_was_made_otherwise_is_marked(tmp_path: Path) -> None:
    rows = WIDE + ACC + bdr(made='"epochs=10,lr=0.05"', recipe="standard")
    text = told(compared(tmp_path, rows, detector(params={"epochs": 1, "lr": 0.05})))
    assert "58.36 / 92.55 / -34.19 (FPR 12.1) *" in text
    assert "60.00 / 90.23 / -30.23 |" in " ".join(text.split())  # that row does not say how it was made
    assert "- * probe: epochs=1, not 10; recipe fast, not standard as published" in text
    assert "* not measured as the published number was, see Matching" in text
    alike = detector(params={"epochs": 10, "lr": 0.05}, recipe="standard")
    assert "*" not in told(compared(tmp_path, rows, alike)).replace("**", "")
    assert "epochs=not recorded, not 10" in told(compared(tmp_path, rows, detector()))


def test_programs_get_it_too(tmp_path: Path) -> None:
    rows = WIDE + ACC + bdr(recipe="standard")
    pairs = compared(tmp_path, rows, detector(), only="bdr_argmax").pairs()
    lines = list(csv.DictReader(io.StringIO(pairs_to_csv(pairs))))
    assert [(line["metric"], line["published"]) for line in lines] == [
        ("bdr_argmax", "0.9255"), ("bdr_at_published_fpr", "0.9255"),
    ]  # fmt: skip
    assert float(lines[1]["published_fpr"]) == pytest.approx(0.1209)
    assert [line["made_otherwise"] for line in lines] == ["recipe fast, not standard"] * 2
    found = json.loads(pairs_to_json(pairs))
    assert [one["published_fpr"] for one in found] == [None, pytest.approx(0.1209)]
    assert found[1]["ours"]["mean"] == pytest.approx(0.5836)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (bdr(fpr="12.1"), "fpr is a share from 0 to 1, or empty, got '12.1': 2.4 % is 0.024"),
        (bdr(fpr="nan"), "fpr is a share from 0 to 1, or empty, got 'nan'"),
        (bdr(fpr="low"), "fpr is a share from 0 to 1, or empty, got 'low'"),
        (bdr(made='"epochs=1,probe"'), "made_with must be PARAMETER=VALUE,... or empty, got 'epochs=1,probe'"),
    ],
)
def test_columns_that_make_no_sense(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(SpecError, match="line 2: ") as error:
        published(tmp_path, WIDE + line)
    assert words in str(error.value)
