"""Verdicts end to end: from a plugin of each kind to records, pictures, tables, pages, and scans of models."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Cli, RecordsIn
from PIL import Image
from scanned_models import verdicts

from benchkit.protocol import generator

TESTS = Path(__file__).parents[1]
KINDS = ("detector", "purifier", "filter", "training", "repair", "audit")
FIXED = ["--dataset", "toy", "--recipe", "fast:epochs=1,batch=64", "--device", "cpu", "--jobs", 1]
INLINE = [*FIXED[:-2], "--executor", "inline"]
PLUGINS = ["-p", TESTS / "toy.py", "-p", TESTS / "teller.py"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results folder of one defense of each kind, each with a verdict."""
    return tmp_path_factory.mktemp("verdicts") / "results"


@pytest.fixture
def records(results: Path, benchkit_cli: Cli, records_in: RecordsIn) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the records of the run, by attack and kind; it is made when it is first asked for."""
    asked = ["--attacks", "none,corner", "--defenses", ",".join(f"telling-{kind}" for kind in KINDS)]
    ran = benchkit_cli("run", *asked, *INLINE, *PLUGINS, "--results", results, "--quiet")
    assert ran.code == 0, ran.err
    return {(one["attack"], one["defense"].removeprefix("telling-")): one for one in records_in(results)}


def folder(results: Path, record: dict[str, Any]) -> Path:
    """Return the folder of a record's pictures."""
    (file,) = results.rglob(f"seed{record['seed']}-{record['key'][:8]}.json")
    return file.with_suffix("")


@pytest.mark.parametrize("kind", KINDS)
def test_records_hold_what_a_verdict_says(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, kind: str
) -> None:
    for attack in ("none", "corner"):
        found = records[attack, kind]
        assert (found["metrics"]["own_share"], found["metrics"]["own_size"]) == (0.25, 7)
        assert found["declared"]["own_size"] == {
            "title": "own size", "unit": "px", "better": "lower", "about": "a size of its own"
        }  # fmt: skip
        suspected = [(one["number"], one["name"], one["models"]) for one in found["suspected"]]
        assert suspected == [(0, "a", 1), (2, "c", 1)]
        white = np.asarray(Image.open(folder(results, found) / found["gallery"]["white"]))
        assert white.shape == (12, 12, 3)
        assert (white == 255).all()
    assert records["corner", kind]["metrics"]["target_found"] == 1
    assert "target_found" not in records["none", kind]["metrics"]


def test_a_certificate_counts_for_as_many_images_as_the_attack_changed(
    records: dict[tuple[str, str], dict[str, Any]],
) -> None:
    attacked, benign = (records[attack, "training"]["metrics"] for attack in ("corner", "none"))
    assert round(attacked["poisoned"] * 304) == 30
    assert attacked["certified_acc"] == pytest.approx(attacked["c_acc"] / 2, abs=0.1)
    assert attacked["c_acc"] > 0.4
    assert benign["certified_acc"] == benign["c_acc"]
    assert attacked["certified_radius"] in (29, 30)
    assert "certified_acc" not in records["corner", "repair"]["metrics"]


def test_the_true_trigger_is_beside_the_images(records: dict[tuple[str, str], dict[str, Any]], results: Path) -> None:
    found = records["corner", "audit"]
    assert list(found["gallery"]) == ["true trigger", "true trigger x5", "white"]
    pixels = np.asarray(Image.open(folder(results, found) / found["gallery"]["true trigger"]))
    assert (pixels[-3:, -3:] == 255).all()
    assert list(records["none", "audit"]["gallery"]) == ["white"]


def test_a_purifier_shows_what_it_does_without_a_verdict(
    records: dict[tuple[str, str], dict[str, Any]], results: Path
) -> None:
    found = records["corner", "purifier"]
    pixels = np.asarray(Image.open(folder(results, found) / found["gallery"]["triggered and purified"]))
    assert pixels.shape == (24, 8 * 12, 3)
    above, below = pixels[:12].reshape(12, 8, 12, 3), pixels[12:].reshape(12, 8, 12, 3)
    assert (above[-3:, :, -3:] == 255).all()
    assert (below[-3:, :, -3:] == 60).all()
    assert np.array_equal(above[:-3], below[:-3])
    assert "triggered and purified" not in records["none", "purifier"]["gallery"]
    assert "clean and purified" in records["none", "purifier"]["gallery"]


def test_pictures_are_files_and_a_second_run_changes_nothing(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, benchkit_cli: Cli
) -> None:
    before = {path: path.read_bytes() for path in (results / "results").rglob("*") if path.is_file()}
    assert not any(b"base64" in raw for path, raw in before.items() if path.suffix == ".json")
    shutil.rmtree(results / "artifacts" / "audit")
    asked = ["--attacks", "none,corner", "--defenses", "telling-audit,telling-purifier"]
    ran = benchkit_cli("run", *asked, *FIXED, *PLUGINS, "--results", results)
    assert ran.code == 0, ran.err
    assert {path: path.read_bytes() for path in (results / "results").rglob("*") if path.is_file()} == before


def test_reports_know_the_metrics_without_the_plugin(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, benchkit_cli: Cli
) -> None:
    def report(*args: object) -> str:
        ran = benchkit_cli("report", "--results", results, *args)
        assert ran.code == 0, ran.err
        return ran.out

    table = report("--metric", "own-share", "--format", "markdown")
    assert "- own_share (%, higher is better): a share of its own" in table
    assert "| corner        | 25.0" in table
    assert "own size (px, lower is better): a size of its own" in report("--metric", "own_size")
    assert "own\\_share (\\%, higher is better)" in report("--metric", "own_share", "--format", "latex")
    rows = list(csv.DictReader(io.StringIO(report("--metric", "own_share", "--format", "csv"))))
    assert {row["mean"] for row in rows if row["metric"]} == {"0.25"}
    cell = next(one for one in json.loads(report("--format", "json")) if one["defense"] == "telling-audit")
    assert cell["declared"]["own_share"]["better"] == "higher"
    assert cell["suspected"]["0"][0] == {"number": 0, "name": "a", "models": 1}
    page = report("--cell", "corner", "telling-repair", "--format", "markdown")
    assert "| own size (px)" in page
    assert "seed 0: 0 (a); 2 (c)" in page


def test_the_page_holds_suspects_units_and_pictures(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, benchkit_cli: Cli
) -> None:
    text = benchkit_cli("report", "--results", results, "--format", "html").out
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["metrics"]["own_size"] == {
        "title": "own size", "better": "lower", "unit": "px", "about": "a size of its own"
    }  # fmt: skip
    (cell,) = [one for one in data["cells"] if (one["attack"], one["defense"]) == ("corner", "telling-audit")]
    assert cell["records"][0]["suspected"] == ["0 (a)", "2 (c)"]
    captions = [one["caption"] for one in cell["pictures"]["gallery"]]
    assert captions == ["true trigger", "true trigger x5", "white"]
    assert all(one["src"].startswith("data:image/png;base64,") for one in cell["pictures"]["gallery"])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("plain", "telling-repair.repair gives no 'own_share', which it declares"),
        ("undeclared", "'odd', which telling-repair.metrics does not declare"),
        ("missing", "gives no 'own_size'"),
        ("nan", "('own_size') returned nan"),
        ("percent", "whose unit is %: give a share"),
        ("many", "gives 10000 images: a Verdict has 8 at most"),
        ("shape", "its image 'white' must be a tensor of shape (3, 12, 12)"),
        ("range", "must be uint8, or float in [0, 1]"),
        ("name", "names an image '../white'"),
        ("class", "suspects class 4: classes are int, 0 to 3"),
        ("flag", "suspects class True"),
    ],
)
def test_an_unsound_verdict_fails_its_cell_in_one_sentence(
    results: Path, benchkit_cli: Cli, records_in: RecordsIn, how: str, words: str
) -> None:
    asked = ["--attacks", "none", "--defenses", f"telling-repair:how={how}", "--quiet"]
    ran = benchkit_cli("run", *asked, *INLINE, *PLUGINS, "--results", results)
    assert ran.code != 0
    (found,) = [one for one in records_in(results) if one["defense"] == f"telling-repair:how={how}"]
    assert found["status"] == "failed"
    assert words in found["error"]
    assert "\n" not in found["error"]


def test_a_defense_that_suspects_none_has_not_found_the_target(
    results: Path, benchkit_cli: Cli, records_in: RecordsIn
) -> None:
    asked = ["--attacks", "corner", "--defenses", "telling-repair:how=none", "--quiet"]
    assert benchkit_cli("run", *asked, *INLINE, *PLUGINS, "--results", results).code == 0
    (found,) = [one for one in records_in(results) if one["defense"] == "telling-repair:how=none"]
    assert found["metrics"]["target_found"] == 0
    assert "suspected" not in found
    assert "gallery" not in found


def test_each_model_of_a_population_has_a_target_of_its_own(
    results: Path, benchkit_cli: Cli, records_in: RecordsIn
) -> None:
    asked = ["--attacks", "corner:target=-1", "--defenses", "telling-audit", "--population", 4, "--seeds", "1,"]
    ran = benchkit_cli("run", *asked, *INLINE, *PLUGINS, "--results", results, "--quiet", "--no-victims")
    assert ran.code == 0, ran.err
    (found,) = [one for one in records_in(results) if one["population"] == 4]
    rngs = (generator(1, "attacker", f"draw {number}") for number in range(4))
    drawn = [int(torch.randint(4, (), generator=rng)) for rng in rngs]
    share = sum(target in (0, 2) for target in drawn) / 4
    assert 0 < share < 1
    assert found["metrics"]["target_found"] == share
    assert [one["models"] for one in found["suspected"]] == [4, 4]
    told = benchkit_cli("report", "--results", results, "--cell", "corner:target=-1", "telling-audit").out
    assert "0 (a), for 4 of 4 models" in told


def test_a_scan_names_suspects_and_draws_images(scan_model: Cli, our_weights: dict[str, Any], tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    more = ["-p", TESTS / "teller.py", "--sheet", sheet]
    ran = scan_model(our_weights, *more, "--format", "json", defense="telling-audit,normal")
    assert ran.code == 1, ran.err
    told = verdicts(ran)
    assert told["telling-audit"]["suspected"] == [{"number": 0, "name": "a"}, {"number": 2, "name": "c"}]
    assert told["telling-audit"]["metrics"] == {"own_share": 0.25, "own_size": 7}
    assert (told["normal"]["suspected"], told["normal"]["metrics"]) == (None, {})
    assert np.asarray(Image.open(sheet).convert("RGB"))[30:60, 30:60].min() == 255
    table = scan_model(our_weights, *more, defense="telling-audit").out
    assert "0 (a), 2 (c)" in table
    assert "own_share 25.0 %, own size 7 px" in table


def test_a_scan_without_images_says_that_it_drew_none(
    scan_model: Cli, our_weights: dict[str, Any], tmp_path: Path
) -> None:
    ran = scan_model(our_weights, "--sheet", tmp_path / "sheet.png", defense="normal")
    assert ran.code == 0
    assert "no detector gave an image" in ran.err
    assert not (tmp_path / "sheet.png").exists()
    refused = scan_model(our_weights, "--sheet", tmp_path / "sheet.jpg", defense="normal")
    assert (refused.code, refused.out) == (2, "")
    assert "--sheet writes PNG" in refused.err


def test_a_metric_of_ours_cannot_be_declared_again(benchkit_cli: Cli, tmp_path: Path) -> None:
    text = (TESTS / "teller.py").read_text().replace('"own_share", unit', '"asr", unit')
    (tmp_path / "thief.py").write_text(text)
    ran = benchkit_cli("show", "-p", tmp_path / "thief.py", "telling-audit")
    assert ran.code == 2
    assert "TellingDetector: metrics declares 'asr', but benchkit has a metric of that name" in ran.err


def test_show_tells_of_the_metrics(benchkit_cli: Cli) -> None:
    shown = benchkit_cli("show", "-p", TESTS / "teller.py", "telling-audit").out
    assert "Reports: own_size, a size of its own (px)" in shown
