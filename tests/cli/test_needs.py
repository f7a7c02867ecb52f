"""What a defense needs of a victim: it gets that and no more, and everybody is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, FindRecord
from needy import Asker, Judge, Oracle, Reader, Scorer, Sieve
from places import TESTS

from benchkit import testing

pytestmark = pytest.mark.usefixtures("trained")

NEEDY = ("-p", TESTS / "shared" / "needy.py")


def test_a_repair_may_read_the_poisoned_set_of_its_victim(toy_run: Cli, cell: FindRecord, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "none,corner", "--defenses", "reader,reader:expected=0", *NEEDY)
    assert ran.code == 1
    assert cell("corner", "reader")["status"] == cell("none", "reader:expected=0")["status"] == "ok"
    assert "there are [0, 0] white corners" in cell("none", "reader")["error"]
    assert "reader: model repair, after training; holds clean images" in ran.out
    assert "needs the victim model; needs the victim's training set" in ran.out
    fits = list((tmp_path / "results" / "artifacts" / "fit").iterdir())
    assert len(fits) == 4, "two defenses for two victims"


@pytest.mark.parametrize(
    ("defense", "sentence"),
    [
        ("asker", ""),
        ("scorer", ""),
        ("scorer:ask=logits", ""),
        ("asker:ask=logits", "used scene.logits(); a defense declares it: needs = frozenset({'logits'})"),
        ("asker:ask=model", "used scene.model; declare it: needs = frozenset({'model'})"),
        ("scorer:ask=model", "used scene.model; declare it: needs = frozenset({'model'})"),
        ("asker:ask=train", "declares it: needs = frozenset({'train'})"),
        ("oracle", ""),
    ],
)
def test_a_defense_has_what_it_declares_and_no_more(
    defense: str, sentence: str, toy_run: Cli, cell: FindRecord
) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", defense, *NEEDY)
    record = cell("corner", defense)
    assert ran.code == bool(sentence), ran.err
    assert sentence in (record["error"] or "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("defense", "sentence"),
    [
        ("sieve", "sieve, a training filter, is given the training set: leave 'train' out of its needs"),
        ("judge", "judge, a model detector, judges models whose training sets nobody has: leave 'train' out"),
    ],
)
def test_a_need_that_a_kind_cannot_have_is_one_sentence(defense: str, sentence: str, toy_run: Cli) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", defense, *NEEDY)
    assert (ran.code, "Traceback" in ran.err) == (2, False)
    assert sentence in ran.err


@pytest.mark.parametrize("sound", [Asker, Scorer, Oracle, Scorer(ask="logits"), Reader(expected=38)], ids=str)
def test_the_kit_hands_out_what_is_declared(sound: object) -> None:
    names = {"declared-needs", "result", "leaves-what-it-is-given", "kind"}
    done = [check for check in testing.checks(sound) if check.name in names]  # type: ignore[arg-type]
    assert len(done) == 4
    for check in done:
        check()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Asker(ask="logits"), r"scene.logits\(\); a defense declares it"),
        (Asker(ask="model"), "used scene.model; declare it"),
        (Scorer(ask="train"), "used scene.train"),
        (Sieve(), "is given the training set"),
        (Judge(), "judges models whose training sets nobody has"),
    ],
    ids=str,
)
def test_the_kit_refuses_what_is_not_declared(broken: object, sentence: str) -> None:
    (check,) = [one for one in testing.checks(broken) if one.name == "declared-needs"]  # type: ignore[arg-type]
    with pytest.raises(testing.ConformanceError, match=sentence):
        check()


def test_show_says_what_is_needed(benchkit_cli: Cli) -> None:
    def told(name: str) -> str:
        return benchkit_cli("show", name, *NEEDY).out

    assert "needs the victim's predicted labels alone" in told("asker")
    assert "needs the victim's logits, not its weights" in told("strip")
    assert "needs the victim model; needs the victim's training set" in told("reader")
    assert "needs" not in told("shrink-pad").partition("Assumes")[2].partition("parameter")[0]


def test_a_scan_of_images_has_no_victim_to_ask(benchkit_cli: Cli, tmp_path: Path) -> None:
    ran = benchkit_cli("scan", "images", tmp_path, "--clean", "scenes", "--defense", "asker", *NEEDY)
    assert ran.code == 2
    assert "asker needs the predictions of a model" in ran.err
