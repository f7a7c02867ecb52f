"""benchkit scan model, through the real entry point: verdicts, what the model knows, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli
from scanned_models import TOY, verdicts

from benchkit.scan.accuracy import Accuracy


def test_score_threshold_verdict_and_place_among_benign_shadows(scan_model: Cli, our_weights: dict[str, Any]) -> None:
    ran = scan_model(our_weights, "--format", "json", defense="place,normal")
    assert ran.code == 0, ran.err
    assert verdicts(ran) == {
        "place": {
            "defense": "place", "verdict": "passed", "score": 2.5, "threshold": 10.0,
            "benign_shadows_below": 3, "benign_shadows": 5, "shadow_accuracy": None, "false_alarm_rate": None,
            "suspected": None, "metrics": {}, "error": None,
        },
        "normal": {
            "defense": "normal", "verdict": "passed", "score": 0.25, "threshold": 1.0,
            "benign_shadows_below": None, "benign_shadows": None, "shadow_accuracy": None, "false_alarm_rate": None,
            "suspected": None, "metrics": {}, "error": None,
        },
    }  # fmt: skip
    assert "among 5 benign shadow models has a resolution of one in 6 at best" in ran.err
    assert "not proven clean" in ran.err
    assert "normalisation" not in ran.err


def test_a_score_over_the_threshold_is_exit_code_1_and_learns_nothing_again(
    scan_model: Cli, our_weights: dict[str, Any], tmp_path: Path
) -> None:
    assert "prepare place" in scan_model(our_weights).err
    ran = scan_model(our_weights, "--out", tmp_path / "table.txt", defense="place:cut=2")
    assert ran.code == 1
    assert "prepare" not in ran.err
    lines = (tmp_path / "table.txt").read_text().splitlines()
    assert lines[0] == KNOWN
    assert lines[4].split() == ["place:cut=2.0", "2.5", "2", "flagged", "above", "3", "of", "5"]
    (row,) = csv.DictReader(io.StringIO(scan_model(our_weights, "--format", "csv", defense="place:cut=2").out))
    assert list(row.values()) == ["place:cut=2.0", "flagged", "2.5", "2.0", "3", "5", *[""] * 5, "1.0", "0.25"]


KNOWN = "accuracy on 120 test images of toy: 100.0%; always predicting the most frequent class gives 25.0%"


def test_what_the_model_knows_of_the_clean_images_is_in_the_json(scan_model: Cli, our_weights: dict[str, Any]) -> None:
    told = json.loads(scan_model(our_weights, "--format", "json").out)
    assert (told["accuracy"], told["largest_class"], told["test_images"]) == (1, 0.25, 120)


@pytest.mark.parametrize("spoil", ["weights", "order"])
def test_a_model_that_knows_nothing_gets_no_verdict(scan_model: Cli, our_weights: dict[str, Any], spoil: str) -> None:
    if spoil == "weights":
        torch.manual_seed(1)
        state = {
            **our_weights,
            **{name: torch.randn_like(one) * 0.1 for name, one in our_weights.items() if name.endswith("weight")},
        }
    else:
        state = {**our_weights, "net.head.weight": our_weights["net.head.weight"].roll(1, 0)}
        state["net.head.bias"] = our_weights["net.head.bias"].roll(1, 0)
    ran = scan_model(state, "--format", "json")
    assert (ran.code, ran.out) == (2, "")
    assert "error: no verdict is possible: accuracy on 120 test images of toy" in ran.err
    assert "order of the classes" in ran.err
    assert "prepare" not in ran.err


@pytest.mark.parametrize(
    ("right", "largest", "knows"), [(250, 250, False), (266, 250, False), (300, 250, True), (950, 950, False)]
)
def test_to_know_is_to_beat_the_most_frequent_class_beyond_chance(right: int, largest: int, knows: bool) -> None:
    assert Accuracy(right, 1000, largest, "toy").knows is knows


def test_shadow_models_are_asked_about_the_same_images(scan_model: Cli, our_weights: dict[str, Any]) -> None:
    told = verdicts(
        scan_model(our_weights, "-p", TOY.parent / "shadowy.py", "--format", "json", defense="probe:models=2,place")
    )
    assert told["place"]["shadow_accuracy"] is None
    (probe,) = [row for name, row in told.items() if name.startswith("probe")]
    assert 0.3 < probe["shadow_accuracy"] <= 1


def test_built_in_detectors_judge_it(scan_model: Cli, our_weights: dict[str, Any]) -> None:
    ran = scan_model(our_weights, "--format", "json", defense="neural-cleanse:rounds=1,clean=0.5")
    assert ran.code in (0, 1), ran.err
    (row,) = verdicts(ran).values()
    assert row["threshold"] == 2
    assert row["score"] >= 0
    assert row["false_alarm_rate"] == pytest.approx(0.21, abs=0.01)
    assert bool(row["suspected"]) == (row["verdict"] == "flagged")
    assert 0 < row["metrics"]["mask_size"] <= row["metrics"]["mask_size_median"] <= 144
    assert "neural-cleanse:clean=0.5,rounds=1: its cutoff flags 21 % of clean 4-class models by chance alone" in ran.err


def test_a_cutoff_may_be_named_by_its_rate_of_false_alarms(scan_model: Cli, our_weights: dict[str, Any]) -> None:
    ran = scan_model(our_weights, "--format", "json", defense="neural-cleanse:rounds=1,clean=0.5,cutoff=null:0.05")
    (row,) = verdicts(ran).values()
    assert row["threshold"] == pytest.approx(4.8, abs=0.15)
    assert row["false_alarm_rate"] == pytest.approx(0.05, abs=1e-4)
    assert "flags 5 % of clean 4-class models by chance alone" in ran.err


@pytest.mark.parametrize("where", ["prepare", "score", "raise"])
def test_a_detector_that_fails_costs_its_own_verdict_and_never_passes(
    scan_model: Cli, our_weights: dict[str, Any], where: str
) -> None:
    ran = scan_model(our_weights, "--format", "json", defense=f"place:fail={where},normal")
    assert ran.code == 2
    assert verdicts(ran)["normal"]["verdict"] == "passed"
    assert verdicts(ran)[f"place:fail={where}"]["verdict"] == "failed"
    assert f"place:fail={where} failed" in ran.err
    assert scan_model(our_weights, defense=f"place:fail={where},head-mean").code == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--defense", "freq-detector"], "does not score models (it is: input detector)"),
        (["--defense", "none"], "no model detector was asked for"),
        (["--model", "narownet"], "did you mean 'narrownet'"),
        (["--clean", "toyy"], "did you mean 'toy'"),
        (["--clean", "toy,scenes"], "one clean dataset"),
        (["--out", "/nowhere/x"], "no folder /nowhere"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    scan_model: Cli, our_weights: dict[str, Any], args: list[str], words: str
) -> None:
    ran = scan_model(our_weights, *args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
