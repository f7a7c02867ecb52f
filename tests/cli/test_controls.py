"""Controls, benign processing, shared preparations and other datasets, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, FindRecord, RecordsIn

from benchkit.spec.registry import load

PLUGIN = Path(__file__).parents[1] / "controls.py"


@pytest.fixture
def run(toy_run: Cli) -> Cli:
    return lambda *args: toy_run(*args, "-p", PLUGIN)


def test_a_detector_of_the_processing_is_told_from_one_of_the_trigger(run: Cli, cell: FindRecord) -> None:
    ran = run("--attacks", "none,lift,corner", "--defenses", "glare:threshold=argmax,brightest", "--no-victims")
    assert ran.code == 0, ran.err
    found = cell("lift", "glare:threshold=argmax")["metrics"]
    assert found["bdr"] == 1
    assert found["fpr_control"] == 1
    assert found["bdr_net"] == 0
    assert found["auroc"] == 1
    assert found["auroc_control"] < 0.6
    assert found["fpr_argmax"] == found["fpr"] < 0.1
    trigger = cell("corner", "brightest")["metrics"]
    assert trigger["bdr_net"] == trigger["bdr"] - trigger["fpr_control"] > 0.8
    assert "bdr_argmax" not in trigger
    assert "BDR - control" in ran.out


def test_a_victim_that_learnt_the_processing_is_told_from_one_that_learnt_the_trigger(
    run: Cli, cell: FindRecord
) -> None:
    ran = run("--attacks", "lift,corner", "--defenses", "none", "--poison-rate", "0.3")
    assert ran.code == 0, ran.err
    lift, corner = (cell(attack, "none") for attack in ("lift", "corner"))
    assert min(lift["metrics"]["asr"], lift["metrics"]["asr_control"]) > 0.9
    assert corner["metrics"]["asr_control"] < corner["metrics"]["asr"] - 0.2
    sentence = "what the attack does besides its trigger moves the victim: part of the ASR is owed to that"
    assert sentence in lift["warnings"]
    assert sentence not in corner["warnings"]
    assert sentence in ran.out


def test_benign_processing_is_a_row_that_shares_the_benign_victim(
    run: Cli, cell: FindRecord, benchkit_cli: Cli, tmp_path: Path
) -> None:
    args = ("--attacks", "none,processed,processed:lift=false", "--defenses", "glare")
    ran = run(*args)
    assert ran.code == 0, ran.err
    assert "1 victim" in ran.err
    assert cell("processed", "glare")["metrics"]["fpr"] == 1
    plain = cell("none", "glare")["metrics"]
    same = cell("processed:lift=false", "glare")["metrics"]
    assert same["fpr"] == plain["fpr"] < 0.2
    assert same["c_acc_after"] == plain["c_acc_after"]
    assert cell("processed", "none")["metrics"].keys() >= {"c_acc"}
    assert "asr" not in cell("processed", "none")["metrics"]


def test_all_leaves_out_what_the_images_do_not_suit_and_says_so(
    run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    costly = [f"-{name}" for name, one in load().attacks.items() if one.cls.needs or one.cls.access != "data"]
    for _ in range(2):  # the second time from the store
        ran = run("--attacks", ",".join(["all", *costly]), "--defenses", "brightest", "--no-victims")
        assert ran.code == 0, ran.err
        assert "left out huge on toy: needs 500 pixels" in ran.err
        assert "huge" not in ran.out
    assert "huge" not in {record["attack"] for record in records_in(tmp_path / "results")}
    ran = run("--attacks", "all,huge", "--defenses", "brightest", "--no-victims")
    assert ran.code == 2
    assert "huge on toy: needs 500 pixels" in ran.err


@pytest.mark.usefixtures("trained")
def test_a_detector_and_a_filter_share_what_they_learn(run: Cli, tmp_path: Path) -> None:
    assert run("--attacks", "corner", "--defenses", "glare:threshold=argmax,glare-filter").code == 0
    assert len(list((tmp_path / "results" / "artifacts" / "prepare").glob("[!.]*"))) == 1
    assert run("--attacks", "corner", "--defenses", "glare,glare-filter:clean=0.5").code == 0
    assert len(list((tmp_path / "results" / "artifacts" / "prepare").glob("[!.]*"))) == 2


def test_a_defense_learns_from_another_dataset(run: Cli, cell: FindRecord, tmp_path: Path) -> None:
    ran = run("--attacks", "corner", "--defenses", "glare:source=toy:count=64", "--no-victims")
    assert ran.code == 0, ran.err
    from safetensors.torch import load_file

    (made,) = (tmp_path / "results" / "artifacts" / "prepare").glob("[!.]*/*.safetensors")
    assert int(load_file(made)["count"]) == 64
    ran = run("--attacks", "corner", "--defenses", "glare:source=toyy", "--no-victims")
    assert ran.code == 2
    assert "toy" in ran.err


def test_a_defense_that_names_the_dataset_itself_sees_the_victims_images(run: Cli, cell: FindRecord) -> None:
    held = {"toy": True, "toy:count=320": True, "toy:count=64": False}
    asked = [f"glare:clean=0.05,source={source}" for source in held]
    ran = run("--attacks", "corner", "--defenses", ",".join(["glare:clean=0.05", *asked]), "--no-victims")
    assert ran.code == 0, ran.err
    told = [cell("corner", one)["defense_info"]["overlap"] for one in (*asked, "glare:clean=0.05")]
    assert told == [*held.values(), False]


@pytest.mark.parametrize(
    ("defense", "words"),
    [
        ("brightest:threshold=argmax", "boundary of their own"),
        ("brightest:threshold=fpr:2", "above 0 and under 1"),
        ("glare:threshold=0.05", "such as fpr:0.05"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(run: Cli, defense: str, words: str) -> None:
    ran = run("--attacks", "corner", "--defenses", defense, "--no-victims")
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("error:") == 1


def test_a_parameter_without_a_value_is_a_switch(run: Cli, cell: FindRecord) -> None:
    assert run("--attacks", "processed:lift", "--defenses", "brightest", "--no-victims").code == 0
    assert cell("processed", "brightest")["status"] == "ok"
    ran = run("--attacks", "badnets:size", "--defenses", "brightest")
    assert ran.code == 2
    assert "badnets:size must be a whole number" in ran.err
