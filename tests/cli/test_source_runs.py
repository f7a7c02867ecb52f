"""Runs of attacks that are meant for some classes only: which test images their numbers are over."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, FindRecord
from places import TESTS

PICKY = ("-p", TESTS / "shared" / "picky.py")
EACH = 30
"""Test images of each of the toy dataset's four classes."""


def test_numbers_are_over_the_source_classes_and_over_the_others(toy_run: Cli, cell: FindRecord) -> None:
    ran = toy_run("--attacks", "picky:source=1+3", "--defenses", "same,same:answer=3,brightest", *PICKY)
    assert ran.code == 0, ran.err
    undefended = cell("picky:source=1+3", "none")
    assert undefended["tested"] == {"clean": 4 * EACH, "triggered": 2 * EACH}
    assert undefended["attack_info"]["source_classes"] == [1, 3]
    assert (2 * EACH * undefended["metrics"]["asr"]).is_integer()
    assert (EACH * undefended["metrics"]["asr_others"]).is_integer()
    names = ("asr", "asr_others", "ra", "c_acc")
    to_zero, to_three = (cell("picky:source=1+3", name)["metrics"] for name in ("same", "same:answer=3"))
    assert [to_zero[name] for name in names] == [1, 1, 0, 0.25]
    assert [to_three[name] for name in names] == [0, 0, 0.5, 0.25], "half of the sources are of class 3"
    assert cell("picky:source=1+3", "brightest")["metrics"]["auroc"] == 1
    assert "picky:source=1+3 (source classes 1, 3)" in ran.out
    assert "source classes 1, 3: its numbers are over triggered test images of these" in ran.out


def test_without_source_classes_it_is_the_attack_on_all(toy_run: Cli, cell: FindRecord) -> None:
    ran = toy_run("--attacks", "corner,picky:source=all", "--defenses", "none,same", *PICKY)
    assert ran.code == 0, ran.err
    for defense in ("none", "same"):
        one, other = (cell(name, defense) for name in ("corner", "picky:source=all"))
        cost = {"seconds", "peak_mb"}
        assert {name: one["metrics"][name] for name in one["metrics"].keys() - cost} == {
            name: other["metrics"][name] for name in other["metrics"].keys() - cost
        }
        assert "source_classes" not in other["attack_info"]
        assert "asr_others" not in other["metrics"]
    assert "source class" not in ran.out


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        ("picky:target=1", "class 1 is both the target and a source class: choose another target"),
        ("picky:source=4", "source class 4 is not a class: this dataset has 4 (0 to 3)"),
        ("picky:source=one", "source must be numbers of classes such as 1 or 1+5, or all, got 'one'"),
        ("picky:source=0+1+2+3,target=-1", "all classes are source classes, so no target is left to draw"),
        ("fixed:target=2", "class 2 is both the target and a source class"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(attack: str, sentence: str, toy_run: Cli) -> None:
    ran = toy_run("--attacks", attack, "--defenses", "none", *PICKY)
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_source_classes_without_a_test_image_fail_the_cell(benchkit_cli: Cli, tmp_path: Path, cell: FindRecord) -> None:
    asked = ("--attacks", "picky,fixed", "--dataset", "absent", "--recipe", "fast:epochs=1", *PICKY)
    ran = benchkit_cli("run", *asked, "--results", tmp_path / "results")
    assert ran.code == 1
    assert cell("picky", "none")["error"].endswith("picky has no test image to stamp: none is of source class 1")
    assert cell("fixed", "none")["status"] == "ok"


def test_a_target_may_be_a_source_class_where_each_class_has_a_target_of_its_own(
    toy_run: Cli, cell: FindRecord
) -> None:
    attack = "picky:mapping=all-to-all,source=0+1"
    ran = toy_run("--attacks", attack, "--defenses", "same", *PICKY)
    assert ran.code == 0, ran.err
    metrics = cell(attack, "same")["metrics"]
    assert (metrics["asr"], metrics["asr_others"]) == (0, 0.5), "0 is wanted of images of class 3 alone"


def test_a_stronger_stamp_at_test_time_is_measured_without_another_training(
    toy_run: Cli, cell: FindRecord, tmp_path: Path
) -> None:
    attacks = [f"loud:test_strength={factor}" for factor in ("2.0", "4.0")]
    ran = toy_run("--attacks", ",".join(["loud", *attacks]), "--defenses", "none", *PICKY)
    assert ran.code == 0, ran.err
    changes = [cell(attack, "none")["metrics"]["linf"] for attack in ("loud", *attacks)]
    assert changes == pytest.approx([20 / 255, 40 / 255, 80 / 255], abs=0.002)
    trained = len(list((tmp_path / "results" / "artifacts" / "train").iterdir()))
    assert trained == 2, "one victim for all, and the benign one"
    assert cell(attacks[0], "none")["attack_info"]["test_strength"] == 2
    assert "test_strength" not in cell("loud", "none")["attack_info"]
    assert "loud:test_strength=4.0 (test strength 4)" in ran.out
