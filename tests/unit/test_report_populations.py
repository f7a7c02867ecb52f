"""What is averaged into one cell and what is not: populations of model detectors, and seeds that are unlike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_records import cells, drawn, record
from table_rows import markdown_rows

from benchkit.records.metrics import METRICS, metric
from benchkit.report.formats.export import to_csv, to_json
from benchkit.report.formats.html import page_data
from benchkit.report.formats.text import to_text
from benchkit.report.published.matching import Book
from benchkit.report.published.numbers import read_published
from benchkit.report.published.pairs import compare
from benchkit.report.tables.cell import page


def judged(defense: str, auroc: float, models: int, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the record of a model detector over so many models of each kind."""
    ends = {"auroc_low": auroc - 0.1, "auroc_high": auroc + 0.05} if models > 3 else {}
    metrics = {"auroc": auroc, "fpr": 0.0, "models": models, **ends}
    same = {"population": models, "metrics": metrics, "defense_info": {"kind": "model detector"}}
    return record("badnets", defense, seed, **(same | changes))


def failed(defense: str, models: int, seed: int) -> dict[str, Any]:
    return judged(defense, 0.5, models, seed, metrics={}, status="failed", error="why")


def test_populations_of_several_sizes_are_cells_of_their_own() -> None:
    found = [judged("mna", 0.9, 16), judged("mna", 1.0, 1, 1), judged("mna", 0.5, 4, 2), judged("mna", 0.8, 16, 3)]
    heads, row = markdown_rows(drawn(found))
    assert heads == ["attack", *(f"mna (population {size}) (AUROC)" for size in (1, 4, 16))]
    assert row == ["badnets", "100.0 (n=1)", "50.0 [40.0, 55.0] (n=1)", "85.0"]
    assert [one["defense"] for one in json.loads(to_json(cells(found)))] == [
        "mna (population 1)", "mna (population 4)", "mna (population 16)",
    ]  # fmt: skip


def test_a_failed_seed_counts_to_its_own_population() -> None:
    found = [*(judged("mna", 0.9, 16, k) for k in range(2)), failed("mna", 16, 2)]
    assert markdown_rows(drawn(found)) == [["attack", "mna (AUROC)"], ["badnets", "90.0 (n=2)"]]
    later = failed("mna", 16, 1) | {"finished": "2026-11-21T22:10:00Z"}
    assert markdown_rows(drawn([*found, later]))[1] == ["badnets", "90.0 [80.0, 95.0] (n=1)"]
    two = [*found, judged("mna", 0.7, 4, dataset="other")]
    assert markdown_rows(drawn(two))[2:] == [["attack", "mna (population 16) (AUROC)"], ["badnets", "90.0 (n=2)"]]
    lost = [judged("mna", 0.9, 16), failed("mna", 4, 2)]
    assert markdown_rows(drawn(lost))[1] == ["badnets", "✗", "90.0 [80.0, 95.0]"]


def test_one_pair_of_models_a_seed_has_neither_interval_nor_winner() -> None:
    found = [judged("nc", value, 1, k) for k, value in enumerate((1.0, 1.0, 0.0))]
    found += [judged("other", 0.0, 1, k) for k in range(3)]
    text = drawn(found)
    assert markdown_rows(text)[1] == ["badnets", "66.7", "0.0"]
    assert "- nc, other: over one backdoored and one benign model per seed: an AUROC is then 0, 50 or 100" in text
    assert "--population N" in text
    assert "±" not in text.partition("**Legend")[0]
    assert "Mean over 3 seeds; an interval is shown from" in text
    assert [one["metrics"]["auroc"]["ci95"] for one in json.loads(to_json(cells(found)))] == [None, None]
    told = to_text(page(cells(found[:3])), "markdown")
    assert ["AUROC (%)", "66.7", "", "3"] in [row[:4] for row in markdown_rows(told)]
    assert "over one backdoored" in told


def test_the_bootstrap_interval_is_shown_for_one_seed_and_the_population_is_told() -> None:
    one = drawn([judged("mna", 0.9, 16)])
    assert markdown_rows(one)[1] == ["badnets", "90.0 [80.0, 95.0]"]
    assert "[low, high]: 95 % bootstrap interval" in one.replace("\\", "")
    assert "- mna: over 16 backdoored and 16 benign models per seed" in one
    three = drawn([judged("mna", 0.9 - k / 100, 16, k) for k in range(3)])
    assert markdown_rows(three)[1] == ["badnets", "89.0 ± 2.5"]
    assert "bootstrap" not in three
    assert "models per seed" not in drawn([judged("mna", 0.9, 16)], metric="seconds")
    (cell,) = page_data(cells([judged("mna", 0.9, 16)]))["cells"]
    assert "90.0 [80.0, 95.0]" in cell["metrics"]["auroc"]


def test_a_published_number_is_set_against_each_population(tmp_path: Path) -> None:
    path = tmp_path / "doe.csv"
    path.write_text("source,attack,defense,dataset,metric,value\nDoe,badnets,mna,scenes,auroc,0.8\n")
    found = cells([judged("mna", 0.9, 16), judged("mna", 0.7, 4)])
    (group,) = compare(found, Book(tuple(read_published(path, METRICS)))).groups
    sides = {column[0]: pair.ours.mean for (_, column), pair in group.pairs.items() if pair.ours and pair.published}
    assert sides == {"mna (population 4)": 0.7, "mna (population 16)": 0.9}


def test_few_models_do_not_compete_with_many() -> None:
    found = [judged("mna", 0.9, 16), judged("mna:queries=1", 0.7, 16), judged("strips", 0.95, 4)]
    assert [text.startswith("**") for text in markdown_rows(drawn(found))[1][1:]] == [True, False, False]


def test_an_interval_over_half_the_scale_is_shown_as_such() -> None:
    assert (metric("asr").half(0.5), metric("asr").half(0.501)) == ("50.0", ">50")
    assert metric("seconds").half(60.0) == "60"
    wide = [record("badnets", "fine-pruning", k, metrics={"c_acc": 0.8, "asr": (k == 0) * 1.0}) for k in range(3)]
    text = drawn(wide)
    assert markdown_rows(text)[1] == ["badnets", "80.0 ± 0.0 / 33.3 ± >50"]
    assert "± >50: an interval over half the scale; these seeds give no information" in text
    assert "half the scale" not in drawn(wide, metric="c_acc")


def test_seeds_that_were_not_made_alike_are_warned_of() -> None:
    found = [
        record(attack, "strip", k, metrics={"auroc": 0.9, "bdr_net": 0.5}, versions={"benchkit": f"0.{k}"},
               defense_info={"kind": "input detector", "clean": (1.0, 0.05)[k], "params": {"lr": 0.1} if k else {}})
        for attack in ("badnets", "blend") for k in range(2)
    ]  # fmt: skip
    line = "seeds differ in benchkit (0.0, 0.1); defense clean (0.05, 1.0); defense lr (0.1, not recorded)"
    text = drawn(found).replace("\\", "")
    assert f"- {line} [badnets x strip; blend x strip]" in text
    assert markdown_rows(text)[1] == ["badnets", "50.0 / 90.0 !"]
    assert json.loads(to_json(cells(found)))[0]["warnings"] == [line]
    assert json.dumps([line]).replace('"', '""') in to_csv(cells(found))
    assert page_data(cells(found))["cells"][0]["warnings"] == [line]
    alike = [record("badnets", "strip", k, metrics={"auroc": 0.9}) for k in range(2)]
    assert "seeds differ" not in drawn(alike)
    unused = failed("mna", 4, 1) | {"versions": {"benchkit": "0.9"}}
    assert "seeds differ" not in drawn([judged("mna", 0.9, 4), unused])


def test_one_cell_is_found_by_its_defense_and_by_its_population(tmp_path: Path, benchkit_cli: Any) -> None:
    for number, models in enumerate((4, 16)):
        found = judged("mna", 0.7 + number / 10, models, key=f"k{number}")
        (tmp_path / f"{number}.json").write_text(json.dumps(found))
    both = benchkit_cli("report", "--results", tmp_path, "--cell", "badnets", "mna")
    one = benchkit_cli("report", "--results", tmp_path, "--cell", "badnets", "mna (population 16)")
    assert (both.code, one.code) == (0, 0)
    assert "population 4" in both.out
    assert "population 4" not in one.out
