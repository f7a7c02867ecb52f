"""Published numbers: what a file of them must hold, and the files that come with benchkit."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from published_files import HEAD, published
from report_records import cells, record

from benchkit.errors import BenchkitError
from benchkit.records.metrics import METRICS
from benchkit.report.parts import part_of
from benchkit.report.published.numbers import Published, read_published
from benchkit.report.published.operating import published_fpr
from benchkit.report.published.pairs import compare, stand_ins
from benchkit.report.published.tables import against
from benchkit.spec.registry import load
from benchkit.spec.spec import components

ROOT = Path(__file__).parents[2]
REFERENCE = sorted((ROOT / "benchmarks/reference").glob("*.csv"))
TABLES = Path("/work/shared/reference/zeng2021.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it lacks the columns source, attack,"),
        ("source,attack,defense,dataset,value\n", "it lacks the column metric: its first line must name"),
        (HEAD, "holds no published number"),
        (HEAD + "s,badnets,probe,cifar10,bdrr,1,\n", "line 2: there is no metric 'bdrr' (did you mean 'bdr'?)"),
        (HEAD + "s,badnets,probe,cifar10,bdr,94.1,\n", "line 2: bdr is a share and must be at most 1, got 94.1"),
        (HEAD + "s,badnets,probe,cifar10,bdr,nan,\n", "line 2: value must be a number, got 'nan'"),
        (HEAD + "s,badnets,probe,cifar10,bdr,-,\n", "line 2: value must be a number, got '-'"),
        (HEAD + "s,badnets,probe,cifar10,bdr\n", "line 2 has no value"),
        (HEAD + "s,badnets,,cifar10,bdr,1,\n", "line 2 has no defense"),
        (HEAD + 's,"badnets,blend",probe,cifar10,bdr,1,\n', "line 2: 'badnets,blend' is not one attack"),
        (HEAD + "s,badnets,probe:=3,cifar10,bdr,1,\n", "line 2: 'probe:=3' is not one defense"),
        (HEAD + "s,a,b,c,bdr,1,\n" + "t,a,b,c,bdr,0,\n", "line 3 gives a second number for what line 2 is about"),
        (HEAD + 's,"bad', "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BenchkitError) as error:
        published(tmp_path, text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_the_shipped_files_name_what_benchkit_has(path: Path) -> None:
    registry = load()
    for row in read_published(path, METRICS):
        assert len(components(row.attack.text, "attacks", registry)) == 1
        made = "".join(
            f"{sign}{key}={value}" for (key, value), sign in zip(row.made_with.items(), ":,,,,", strict=False)
        )
        assert len(components(row.defense.text, "defenses", registry)) == 1
        assert len(components(f"{row.defense.name}{made}", "defenses", registry)) == 1
        assert row.dataset.name in {*registry.kind("datasets"), "pubfig", "tsrd"}


def zeng() -> list[Published]:
    return read_published(ROOT / "benchmarks/reference/zeng2021.csv", METRICS)


def test_zeng2021_holds_the_168_numbers() -> None:
    rows = zeng()
    per_table = [sum(row.source.endswith(f"Table {table}") for row in rows) for table in (1, 2, 3, 4)]
    assert per_table == [80, 28, 40, 20]
    detected = [r.value for r in rows if r.metric == "bdr_argmax" and r.source.endswith("1") and not r.defense.stated]
    assert len(detected) == 20
    assert round(sum(detected) / 20, 4) == 0.9850  # the paper's headline


def test_the_fpr_of_zeng2021_is_one_number_for_each_frequency_detector_and_dataset() -> None:
    """ACC and BDR imply it; of the two rows with a typo in their ACC the file states it."""
    by_place = {row.place: row for row in zeng()}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in (row for row in zeng() if row.metric == "bdr_argmax" and "feature" not in row.defense.stated):
        rate = published_fpr(row, by_place)
        assert rate is not None
        found[row.defense.text, row.dataset.text].append(rate)
    assert all(max(rates) - min(rates) < 0.005 for rates in found.values())
    assert {place: round(min(rates), 3) for place, rates in found.items() if place[0] == "freq-detector"} == {
        ("freq-detector", "cifar10"): 0.023,
        ("freq-detector", "gtsrb"): 0.121,
        ("freq-detector", "pubfig"): 0.014,
    }


def test_only_the_noted_numbers_of_zeng2021_contradict_their_column() -> None:
    """ACC is the mean of BDR and the true-negative rate, which is one number for each detector and dataset.

    In the frequency domain, that is: those of the image domain agree on CIFAR-10 only.
    """
    columns: dict[tuple[str, str], dict[str, dict[str, Published]]] = defaultdict(lambda: defaultdict(dict))
    for row in (row for row in zeng() if "feature" not in row.defense.stated):
        columns[row.defense.text, row.dataset.text][row.attack.text][row.metric] = row
    odd = []
    for column in columns.values():
        passed = {a: 2 * by["acc_argmax"].value - by["bdr_argmax"].value for a, by in column.items()}
        usual = sorted(passed.values())[len(passed) // 2]
        odd += [column[attack]["acc_argmax"] for attack, share in passed.items() if abs(share - usual) > 0.005]
    assert [(row.attack.text, row.dataset.text) for row in odd] == [("gan-tri", "pubfig"), ("nature", "gtsrb")]
    assert odd == [row for row in zeng() if "typo" in row.note]


@pytest.mark.skipif(not TABLES.exists(), reason="the tables this file was made from are not here")
def test_zeng2021_is_what_the_tables_say() -> None:
    domains = {"frequency": {}, "image": {"feature": "image"}}
    ours = {row.place: 100 * row.value for row in zeng()}
    with TABLES.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            stated = dict(domains[line["domain"]])
            if line["table"] != "1":
                stated["train_on"] = line["trained_on"].removesuffix("+tune")
                stated |= {"tune": "100"} if line["trained_on"].endswith("+tune") else {}
            for name in ("acc", "bdr"):
                (place,) = [
                    place
                    for place in ours
                    if (place[0], part_of(place[1]).stated) == (line["attack"], stated)
                    if place[2:] == (line["tested_on"], f"{name}_argmax")
                ]
                assert ours.pop(place) == pytest.approx(float(line[name]))
    assert ours == {}


def beside(rows: list[Published], metric: str, ours: float) -> list[str]:
    """Return what stands in the table beside each row, if we had the same number for each attack."""
    attacks = dict.fromkeys(row.attack.text for row in rows)
    found = cells([record(attack, "probe", dataset="cifar10", metrics={metric: ours}) for attack in attacks])
    (table,) = against(compare(found, stand_ins((), rows, found))).tables
    return [row[0].text for _, row in table.rows]


@pytest.mark.parametrize(
    ("value", "ours", "shown"),
    [
        ("0.9885", 0.98812, "98.81 / 98.85 / -0.04"),  # to one decimal these were 98.8 / 98.9 / 0.0
        ("0.9885", 0.988499, "98.85 / 98.85 / 0.00"),
        ("0.970", 0.9704, "97.0 / 97.0 / 0.0"),
        ("0.97", 0.9686, "96.9 / 97 / -0.1"),
        ("1", 0.25, "25.0 / 100 / -75.0"),
        ("5e-3", -0.0001, "0.0 / 0.5 / -0.5"),
        ("0.12345678901234567", 0.1, "10.000000 / 12.345679 / -2.345679"),
        ("1e-300", 0.0, "0.000000 / 0.000000 / 0.000000"),
    ],
)
def test_published_numbers_keep_their_digits_and_what_stands_there_can_be_subtracted(
    tmp_path: Path, value: str, ours: float, shown: str
) -> None:
    rows = published(tmp_path, HEAD + f"s,badnets,probe,cifar10,acc,{value},\n")
    assert beside(rows, "acc", ours) == [shown]


def test_numbers_without_a_unit_keep_their_digits_too(tmp_path: Path) -> None:
    rows = published(tmp_path, HEAD + "s,badnets,probe,cifar10,psnr,27.5,\ns,blend,probe,cifar10,psnr,30,\n")
    assert beside(rows, "psnr", 27.4567) == ["27.5 / 27.5 / 0.0", "27.5 / 30 / -2.5"]
