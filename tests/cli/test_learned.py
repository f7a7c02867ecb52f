"""What an attack learns while it trains its victim is what stamps the test images of this victim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn
from safetensors.torch import load_file

TESTS = Path(__file__).parents[1]
LEARNERS = TESTS / "shared" / "learners.py"


@pytest.fixture
def run(toy_run: Cli) -> Cli:
    return lambda *args, **more: toy_run(*args, "-p", LEARNERS, "--executor", "inline", "--device", "cpu", **more)


def trained(results: Path) -> list[Path]:
    return sorted((results / "artifacts" / "train").glob("*/tensors.safetensors"))


def test_each_victim_is_shown_the_trigger_that_its_own_training_learned(
    run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    attacks, models = "learner,dimmed", "two-tensors,four-tensors"
    assert run("--attacks", attacks, "--defenses", "brightest", "--models", models).code == 0
    records = {(one["attack"], one["model"], one["defense"]): one for one in records_in(tmp_path / "results")}
    for model, level in (("two-tensors", 202), ("four-tensors", 204)):
        for attack, lower in (("learner", 0), ("dimmed", 10)):
            # half of the scores are those of stamped corners, and no clean corner is as bright
            assert records[attack, model, "brightest"]["curves"]["scores"]["edges"][-1] == level - lower
    # the judge stamps what the cell stamps: the largest change grows with the level, by 2 of 255
    changes = [records["learner", model, "none"]["metrics"]["linf"] for model in models.split(",")]
    assert changes[1] - changes[0] == pytest.approx(2 / 255, abs=1e-6)
    assert len(trained(tmp_path / "results")) == 2 * 3  # no victim twice: two attacks and the benign one for each model


def test_without_victims_only_the_one_that_teaches_the_stamp_is_trained(
    run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    asked = ("--attacks", "none,corner,learner", "--defenses", "brightest", "--models", "two-tensors", "--no-victims")
    assert run(*asked).code == 0
    (learner,) = [one for one in records_in(tmp_path / "results") if one["attack"] == "learner"]
    assert learner["curves"]["scores"]["edges"][-1] == 202
    (only,) = trained(tmp_path / "results")
    assert set(load_file(only)) == {"mean", "std", "net.1.weight", "net.1.bias", "learned.level"}


def test_a_population_is_judged_by_its_models_alone(run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    asked = ("--attacks", "learner", "--defenses", "head-mean", "--models", "two-tensors", "--population", 2)
    assert run(*asked).code == 0
    (judged,) = [one for one in records_in(tmp_path / "results") if one["defense"] == "head-mean"]
    assert judged["metrics"]["models"] == 2


def test_an_exported_victim_holds_its_weights_alone(run: Cli, benchkit_cli: Cli, tmp_path: Path) -> None:
    assert run("--attacks", "learner", "--defenses", "none", "--models", "two-tensors").code == 0
    out = tmp_path / "hf"
    asked = ("--results", tmp_path / "results", "--out", out, "-p", LEARNERS, "-p", TESTS / "toy.py")
    assert benchkit_cli("export", "--to", "hf", *asked).code == 0
    found = [set(load_file(path)) for path in out.glob("learner*/model.safetensors")]
    assert found == [{"mean", "std", "net.1.weight", "net.1.bias"}]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("learner:how=alone", "says learns = True, but its train returns a model alone: return benchkit.Trained"),
        ("learner:how=clash", "learner.train returns 'first', a name that prepare or draw has given"),
        ("learner:how=list", "learner.train must return a dict of tensors"),
        ("secretive", "secretive.train returns tensors that no stamp would get: declare learns = True"),
        ("twice", "twice.draw returns 'first', a name that prepare or draw has given"),
    ],
)
def test_what_breaks_the_contract_is_one_sentence(
    run: Cli, records_in: RecordsIn, tmp_path: Path, attack: str, words: str
) -> None:
    assert run("--attacks", attack, "--defenses", "none", "--models", "two-tensors").code == 1
    assert any(words in (one["error"] or "") for one in records_in(tmp_path / "results"))


def test_a_figure_refuses_a_trigger_that_only_a_victim_teaches(benchkit_cli: Cli, tmp_path: Path) -> None:
    asked = ("--dataset", "toy", "--attacks", "learner", "-p", TESTS / "toy.py", "-p", LEARNERS)
    drawn = benchkit_cli("spectrum", *asked, "--results", tmp_path / "r", "--out", tmp_path / "figure.png")
    assert drawn.code == 2
    assert drawn.err.strip() == (
        "error: learner learns its trigger as it trains a victim, which a figure has not: leave it out"
    )


@pytest.mark.slow
def test_the_generator_of_the_tutorial_implants_patterns_of_its_own_images(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    page = (TESTS.parent / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (block,) = [one for one in blocks if "benchkit.Trained" in one]
    (tmp_path / "own.py").write_text(block)
    asked = ("--attacks", "own-pattern:epochs=40", "--defenses", "none", "--poison-rate", "0.2")
    assert toy_run(*asked, "-p", tmp_path / "own.py", "--executor", "inline", "--device", "cpu").code == 0
    (record,) = records_in(tmp_path / "results")
    found = record["metrics"]
    assert min(found["asr"], found["c_acc"]) > 0.9
    assert max(found["asr_clean_model"], found["asr_control"]) < 0.6


def test_who_declares_a_model_may_leave_the_training_to_the_benchmark(run: Cli) -> None:
    assert run("--attacks", "modelled", "--defenses", "none", "--models", "two-tensors").code == 0
