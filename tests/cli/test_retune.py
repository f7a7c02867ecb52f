"""Runs with --retune: what stands beside a repair, what it costs, and what it does not change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fixture_types import Cli, FindRecord, RecordsIn
from places import TESTS
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("trained")
REPAIRS = ("-p", TESTS / "shared" / "repairs.py")
RECIPE = "fast:epochs=12,batch=32"
RETUNED = {"asr_retuned", "asr_retuned_benign"}
TUNED = {"asr_finetuned", "c_acc_finetuned"}


def poisons(results: Path) -> list[dict[str, torch.Tensor]]:
    files = sorted((results / "artifacts" / "retune").rglob("*.safetensors"))
    return [load_file(file) for file in files]


def test_a_backdoor_that_is_left_comes_back_and_a_benign_model_has_none(
    benchkit_cli: Cli, cell: FindRecord, tmp_path: Path
) -> None:
    asked = ("--attacks", "none,corner", "--defenses", "keep,tune:epochs=4.0,loop", "--retune", *REPAIRS)
    toy = ("--dataset", "toy", "--recipe", RECIPE, "--poison-rate", "0.2", "-p", TESTS / "toy.py")
    ran = benchkit_cli("run", *asked, *toy, "--results", tmp_path / "results")
    assert ran.code == 0, ran.err
    kept, tuned, looped = (cell("corner", name)["metrics"] for name in ("keep", "tune:epochs=4.0", "loop"))
    assert kept["asr"] > 0.8
    assert kept["asr_retuned"] > kept["asr_retuned_benign"] + 0.3
    assert len({one["asr_retuned_benign"] for one in (kept, tuned, looped)}) == 1, "one step for all"
    assert not TUNED & kept.keys(), "it trains nothing that could be compared"
    assert tuned.keys() >= RETUNED | TUNED
    assert looped.keys() >= RETUNED | TUNED, "a loop of its own is declared"
    for metrics in (cell("none", "keep")["metrics"], cell("corner", "none")["metrics"]):
        assert not (RETUNED | TUNED) & metrics.keys()
    record = cell("corner", "tune:epochs=4.0")
    assert record["costs"]["retuning"]["seconds"] > 0
    assert record["metrics"]["seconds"] == record["costs"]["cell"]["seconds"], "retuning is no cost of the defense"
    assert "corner x keep: ASR" in ran.out
    (made,) = poisons(tmp_path / "results")
    assert made["images"].shape == (5, 3, 12, 12)
    assert bool((made["images"][..., -3:, -3:] == 255).all())
    assert made["labels"].tolist() == [0] * 5


def test_without_it_no_record_changes(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    asked = ("--attacks", "none,corner", "--defenses", "tune,brightest", *REPAIRS)
    assert toy_run(*asked).code == 0
    before = {(one["attack"], one["defense"]): one for one in records_in(tmp_path / "results")}
    ran = toy_run(*asked, "--retune")
    assert ran.code == 0
    after = [one for one in records_in(tmp_path / "results") if one["key"] not in {b["key"] for b in before.values()}]
    assert [(one["attack"], one["defense"]) for one in after] == [("corner", "tune")], "nothing else runs again"
    old, new = before["corner", "tune"]["metrics"], after[0]["metrics"]
    same = old.keys() - {"seconds", "peak_mb"}
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert new.keys() - old.keys() == RETUNED | TUNED


def test_poisons_have_the_trigger_that_training_learned(toy_run: Cli, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "learner", "--defenses", "keep", "--retune", "--no-victims", *REPAIRS)
    assert ran.code == 0, ran.err
    (made,) = poisons(tmp_path / "results")
    assert bool((made["images"][..., -3:, -3:] == 255).all())


def test_it_is_for_repairs(toy_run: Cli, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "brightest", "--retune")
    assert ran.code == 2
    assert "--retune is for model repairs: name one, such as fine-tuning, or leave it out" in ran.err


@pytest.mark.parametrize(("value", "code"), [("true", 0), ("false", 0), ('"yes"', 2), ("1", 2)])
def test_a_suite_may_ask_for_it(value: str, code: int, benchkit_cli: Cli, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(f'attacks = "corner"\ndefenses = "keep"\ndatasets = "toy"\nretune = {value}\n')
    ran = benchkit_cli("plan", suite, *REPAIRS, "-p", TESTS / "toy.py", "--results", tmp_path / "results")
    assert ran.code == code, ran.err
    assert ("retune" in ran.out) == (value == "true")
    assert code == 0 or "retune must be true or false" in ran.err


def test_fewer_poisons_are_taken_where_the_set_has_fewer(toy_run: Cli, tmp_path: Path) -> None:
    asked = ("--attacks", "corner", "--defenses", "keep", "--poison-rate", "0.01", "--retune", *REPAIRS)
    assert toy_run(*asked).code == 0
    (made,) = poisons(tmp_path / "results")
    assert len(made["images"]) == 3
