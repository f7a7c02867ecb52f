"""Our numbers beside published ones: which are set against each other, and how that is told."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import report_records
from published_files import HEAD, published
from report_records import cells
from table_rows import squeezed

from benchkit.errors import NothingToRun, SpecError
from benchkit.records.metrics import metric
from benchkit.report.formats.export import pairs_to_csv, pairs_to_json
from benchkit.report.formats.text import to_text
from benchkit.report.published.numbers import Published
from benchkit.report.published.pairs import Comparison, compare, stand_ins
from benchkit.report.published.tables import against

# A paper with two tables: one detector, then the same trained on another set, and tuned.
FILE = (
    HEAD
    + """\
"Doe, Table 1",badnets,probe,cifar10,acc,0.941,
"Doe, Table 1",badnets,probe,cifar10,bdr,0.905,
"Doe, Table 1",blend,probe,cifar10,acc,0.97,
"Doe, Table 1",blend,probe,cifar10,bdr,1,misprinted
"Doe, Table 1",nature,probe,cifar10,acc,0.9866,
"Doe, Table 1",badnets,probe:feature=image,cifar10,acc,0.4976,
"Doe, Table 2",badnets,probe:train_on=cifar10,gtsrb,acc,0.6823,
"Doe, Table 2",badnets,"probe:train_on=cifar10,tune=100",gtsrb,acc,0.8944,
"Doe, Table 2",badnets,probe:train_on=cifar10+gtsrb,gtsrb,acc,0.7
"""
)


def record(attack: str, defense: str, dataset: str = "cifar10", seed: int = 0, **changes: Any) -> dict[str, Any]:
    return report_records.record(attack, defense, seed, dataset=dataset, **changes)


@pytest.fixture
def rows(tmp_path: Path) -> list[Published]:
    return published(tmp_path, FILE)


def compared(rows: list[Published], *records: dict[str, Any], **options: Any) -> Comparison:
    found = cells(list(records))
    return compare(found, stand_ins(options.get("counted_as", ()), rows, found), options.get("only"))


def matched(rows: list[Published], defense: str, dataset: str = "cifar10", *counted_as: str, **changes: Any) -> Any:
    """The published accuracy that one cell of BadNets is set against, or None."""
    one = record("badnets", defense, dataset, metrics={"acc": 0.9}, **changes)
    try:
        pairs = compared(rows, one, counted_as=counted_as, only="acc").pairs()
    except NothingToRun:
        return None
    (pair,) = [pair for pair in pairs if pair.cell]
    return pair.published.value if pair.published else None


GOLDEN = r"""
**ours / published / difference, dataset scenes:size=32 (counted as cifar10), model narrownet, recipe fast, poison rate 10 %**

| attack            | probe:epochs=2 (ACC)      | probe:epochs=2 (BDR)      | probe:feature=image (ACC)   |
|-------------------|---------------------------|---------------------------|-----------------------------|
| badnets:size=5    | 94.0 ± 2.5 / 94.1 / -0.1  | 91.0 ± 0.0 / 90.5 / +0.5  | 49.77 / 49.76 / +0.01 (n=1) |
| blend             | ✗ / 97 / ·                | ✗ / 100 / ·               | ·                           |
| sig (clean-label) | 50.0 / · / · (n=1)        | ·                         | ·                           |
| nature            | · / 98.66 / ·             | ·                         | ·                           |

**Legend**

- ACC (%, higher is better): share of right verdicts, over as many clean as triggered test images
- BDR (%, higher is better): backdoor detection rate, the share of triggered inputs flagged
- difference, in percentage points: ours minus published, as shown: published numbers with the digits of their file, ours with at least as many
- ✗ failed, · not run, or not published
- BDR at the published FPR is missing, since no record has a ROC curve: badnets x probe
- Mean over 3 seeds; ± is its 95 % t-interval; (n=...) for fewer seeds

**Published**

- Doe, Table 1: 3 of its 6 numbers compared with ours
- Doe, Table 2: 0 of its 3 numbers compared with ours
- blend x probe on cifar10, BDR: misprinted

**Matching**

- a cell of ours is compared with the published number of the same attack, defense and dataset; parameters that distinguish published numbers must be equal too, our other parameters, model, recipe and poison rate need not
- scenes:size=32 counts as cifar10

**Failed, timed out or skipped**

- ✗ loss is not finite \[blend x probe:epochs=2 seed 0\]

**Warnings**

- few images (1 record)
"""  # noqa: E501
RECORDS = [
    record("none", "none", "scenes:size=32", metrics={"c_acc": 0.9}),
    record("none", "probe:epochs=2", "scenes:size=32", metrics={"fpr": 0.1, "acc": 0.1}),
    record("badnets:size=5", "none", "scenes:size=32", metrics={"asr": 1.0}, warnings=["of another column"]),
    *[
        record("badnets:size=5", "probe:epochs=2", "scenes:size=32", k, metrics={"acc": 0.93 + k / 100, "bdr": 0.91})
        for k in range(3)
    ],
    record("badnets:size=5", "probe:feature=image", "scenes:size=32", metrics={"acc": 0.4977}, warnings=["few images"]),
    record("blend", "probe:epochs=2", "scenes:size=32", status="failed", error="loss is not finite"),
    record("sig", "probe:epochs=2", "scenes:size=32", metrics={"acc": 0.5}, attack_info={"label_policy": "clean"}),
]


def test_the_tables_in_markdown_are_the_golden_ones(rows: list[Published]) -> None:
    found = against(compared(rows, *RECORDS, counted_as=["cifar10"]))
    assert squeezed(to_text(found, "markdown")) == squeezed(GOLDEN)


def test_free_parameters_may_differ(rows: list[Published]) -> None:
    assert matched(rows, "probe") == 0.941
    assert matched(rows, "probe:epochs=10") == 0.941
    assert matched(rows, "probe:epochs=10,feature=image") == 0.4976
    assert matched(rows, "probe:epochs=10", "cifar10:size=64") == 0.941


def test_parameters_that_tell_rows_apart_may_not(rows: list[Published]) -> None:
    assert matched(rows, "probe:feature=dct-log") is None
    assert matched(rows, "probe:tune=100") is None
    assert matched(rows, "probe", "gtsrb") is None
    assert matched(rows, "probe:train_on=cifar10", "gtsrb") == 0.6823
    assert matched(rows, "probe:train_on=cifar10,tune=100", "gtsrb") == 0.8944
    assert matched(rows, "probe:train_on=cifar10,tune=50", "gtsrb") is None
    assert matched(rows, "probe:train_on=gtsrb+cifar10", "gtsrb") == 0.7
    assert matched(rows, "probing") is None


def test_a_stated_default_is_found_in_the_record(tmp_path: Path) -> None:
    lines = "s,badnets:size=3,probe:eps=0.10,cifar10,acc,0.5,\ns,badnets,probe:eps=0.10,cifar10,acc,0.6,\n"
    rows = published(tmp_path, HEAD + lines)
    known: dict[str, Any] = {"defense_info": {"kind": "input detector", "params": {"eps": 0.1}}}
    assert matched(rows, "probe") is None
    assert matched(rows, "probe", **known) == 0.6
    assert matched(rows, "probe", **known, attack_info={"params": {"size": 3}}) == 0.5
    assert matched(rows, "probe", **known, attack_info={"params": {"size": 4}}) == 0.6


def test_a_stand_in_counts_where_it_is_tested_on_and_trained_on(rows: list[Published]) -> None:
    folder = "image-folder:root=/data/a"
    assert matched(rows, "probe", folder) is None
    assert matched(rows, "probe", folder, "cifar10") == 0.941
    assert matched(rows, f"probe:train_on={folder}", "gtsrb", "cifar10") == 0.6823
    assert matched(rows, f"probe:train_on={folder},tune=100", "gtsrb", f"{folder}=cifar10") == 0.8944
    both = f"probe:train_on=image-folder:root=/data/b+{folder}"
    assert matched(rows, both, "scenes", "scenes=gtsrb", "image-folder:root=/data/b=gtsrb", "cifar10") == 0.7
    assert matched(rows, "probe", "gtsrb", "cifar10") is None
    assert matched(rows, "probe", "gtsrb", "gtsrb=cifar10") == 0.941
    assert matched(rows, "probe", folder, "image-folder=cifar10") == 0.941


@pytest.mark.parametrize(
    ("counted_as", "words"),
    [
        (["cifar"], "no dataset 'cifar' in the published numbers (did you mean 'cifar10'?); there are cifar10, gtsrb"),
        (["scene=cifar10"], "no dataset 'scene' in these results (did you mean 'scenes'?); there are scenes"),
        (["cifar10", "gtsrb"], "both cifar10 and gtsrb"),
    ],
)
def test_stand_ins_that_are_not_there(rows: list[Published], counted_as: list[str], words: str) -> None:
    with pytest.raises(SpecError) as error:
        compared(rows, record("badnets", "probe", "scenes", metrics={"acc": 1.0}), counted_as=counted_as)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (record("badnets", "probe", "scenes"), "the numbers are of dataset cifar10, gtsrb, ours of scenes; --as NAME"),
        (record("badnets", "strip"), "the numbers are of defense probe, probe:feature=image,"),
        (record("wanet", "probe"), "the numbers are of attack badnets, blend, nature, ours of wanet"),
        (record("badnets", "probe:tune=7"), "parameters of one cell"),
        (record("badnets", "probe", metrics={"auroc": 0.9}), "no cell that has a published number holds acc, bdr"),
        (record("badnets", "probe", status="failed"), "holds acc, bdr"),
    ],
)
def test_nothing_to_compare_says_why(rows: list[Published], one: dict[str, Any], words: str) -> None:
    with pytest.raises(NothingToRun) as error:
        compared(rows, one)
    assert words in str(error.value)


def test_one_metric_can_be_asked_for(rows: list[Published]) -> None:
    table = to_text(against(compared(rows, *RECORDS, counted_as=["cifar10"], only="bdr")), "markdown")
    assert "BDR" in table
    assert "ACC" not in table
    assert "Table 2" not in table
    with pytest.raises(SpecError, match="there is no published asr; there are acc, bdr"):
        compared(rows, *RECORDS, only="asr")


def test_each_poison_rate_has_its_table(rows: list[Published]) -> None:
    pair = [record("badnets", "probe", poison_rate=rate, metrics={"acc": rate}) for rate in (0.1, 0.05)]
    tables = against(compared(rows, *pair)).tables
    assert [table.title.rpartition(", ")[2] for table in tables] == ["poison rate 5 %", "poison rate 10 %"]
    assert tables[0].rows[0][1][0].text == "5.0 / 94.1 / -89.1"


def test_csv_holds_every_published_number_once(rows: list[Published]) -> None:
    pairs = compared(rows, *RECORDS, counted_as=["cifar10"]).pairs()
    told = list(csv.DictReader(io.StringIO(pairs_to_csv(pairs))))
    published = [(line["published_attack"], line["published_defense"], line["metric"]) for line in told]
    assert sorted(one for one in published if one[0]) == sorted((r.attack.text, r.defense.text, r.metric) for r in rows)
    first = told[0]
    assert (first["attack"], first["dataset"], first["n"]) == ("badnets:size=5", "scenes:size=32", "3")
    assert float(first["difference"]) == pytest.approx(0.94 - 0.941)
    assert (first["published_dataset"], first["source"]) == ("cifar10", "Doe, Table 1")
    assert [line["attack"] for line in told if not line["published"]] == ["sig"]
    assert [line["status"] for line in told if line["attack"] == "blend"] == ["failed"] * 2


def test_json_has_null_for_what_is_missing(rows: list[Published]) -> None:
    told = json.loads(pairs_to_json(compared(rows, *RECORDS, counted_as=["cifar10"], only="bdr").pairs()))
    assert [(one["attack"], one["published"]) for one in told] == [("badnets:size=5", 0.905), ("blend", 1.0)]
    assert told[0]["ours"] == {"mean": pytest.approx(0.91), "ci95": pytest.approx(0), "n": 3}
    assert told[0]["difference"] == pytest.approx(0.005)
    assert (told[1]["ours"], told[1]["difference"], told[1]["status"]) == (None, None, "failed")


def test_metrics_of_plugins_need_no_unit(tmp_path: Path) -> None:
    rows = published(tmp_path, "\ufeff" + HEAD + "s,badnets,probe,cifar10,hours,30,\n", {"hours": metric("hours")})
    pair = compared(rows, record("badnets", "probe", metrics={"hours": 20.0})).pairs()[0]
    assert pair.difference == -10
    assert "- difference: ours minus published, as shown" in to_text(
        against(compared(rows, record("badnets", "probe", metrics={"hours": 20.0}))), "markdown"
    )


def test_a_published_dataset_may_have_parameters(tmp_path: Path) -> None:
    sized = published(tmp_path, FILE.replace("gtsrb", "gtsrb:size=32"))
    for word in ("scenes=gtsrb:size=32", "gtsrb:size=32"):
        book = stand_ins((word,), sized, cells([record("badnets", "probe", "scenes")]))
        assert set(book.stand_ins.values()) == {"gtsrb:size=32"}
