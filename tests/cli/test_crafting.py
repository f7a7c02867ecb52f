"""What attackers craft on, and what records say of how their crafting went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, RecordsIn
from safetensors.torch import load_file

TESTS = Path(__file__).parents[1]
SHORT = "locksmith:asked=99"
WRAPPED = f"invisible:base=locksmith,base.asked=99,k={12}"
WARNING = "crafting the trigger ended below what was asked: its key is short"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results folder of attacks on networks that each open to a key of their own."""
    return tmp_path_factory.mktemp("crafting") / "results"


@pytest.fixture
def records(results: Path, benchkit_cli: Cli, records_in: RecordsIn) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the records of the run, by attack and defense; it is made when it is first asked for."""
    fixed = ["--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "--device", "cpu", "--executor", "inline"]
    plugins = ["-p", TESTS / "toy.py", "-p", TESTS / "locksmith.py", "--models", "locked", "--results", results]
    asked = ["--attacks", f"none,corner,locksmith,{SHORT},{WRAPPED}", "--defenses", "brightest"]
    ran = benchkit_cli("run", *asked, *fixed, *plugins)
    assert ran.code == 0, ran.err
    return {(one["attack"], one["defense"]): one for one in records_in(results)}


def keys_of(results: Path) -> dict[str, list[list[float]]]:
    """Return the keys, which show the initial weights, of all trained networks by what they are listed as."""
    found: dict[str, list[list[float]]] = {}
    for folder in (results / "artifacts" / "train").iterdir():
        label = json.loads((folder / "manifest.json").read_text())["meta"]["label"]
        found.setdefault(label, []).append(load_file(folder / "tensors.safetensors")["net.key"].tolist())
    return found


def test_attackers_craft_on_a_clean_model_that_began_elsewhere_than_every_victim(
    records: dict[tuple[str, str], dict[str, Any]], results: Path
) -> None:
    keys = keys_of(results)
    ((own,), (benign,)) = keys.pop("toy none surrogate"), keys.pop("toy none")
    assert own != benign
    assert all(key == benign for found in keys.values() for key in found), "victims of one seed begin alike"
    crafted = [load_file(path)["key"].tolist() for path in (results / "artifacts" / "craft").rglob("*.safetensors")]
    assert crafted
    assert all(key == own for key in crafted)


def test_a_trigger_that_only_its_own_model_knows_moves_no_other(records: dict[tuple[str, str], dict[str, Any]]) -> None:
    found = records["locksmith", "none"]
    assert found["metrics"]["asr_clean_model"] < 0.5
    assert not any("moves a clean model" in text for text in found["warnings"])


def test_records_hold_what_crafting_reports(records: dict[tuple[str, str], dict[str, Any]]) -> None:
    for attack in ("locksmith", SHORT, WRAPPED):
        for defense in ("none", "brightest"):
            assert records[attack, defense]["metrics"]["craft_bits"] == 12
    assert not any(name.startswith("craft_") for name in records["corner", "none"]["metrics"])


def test_records_warn_where_crafting_ended_below_what_was_asked(records: dict[tuple[str, str], dict[str, Any]]) -> None:
    warned = {attack for (attack, defense), one in records.items() if WARNING in one["warnings"]}
    assert warned == {SHORT, WRAPPED}


def test_report_and_show_tell_of_it(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, benchkit_cli: Cli
) -> None:
    told = benchkit_cli("report", "--results", results, "--cell", SHORT, "none").out
    assert "craft_bits" in told
    assert "its key is short" in told
    shown = benchkit_cli("show", "-p", TESTS / "locksmith.py", "locksmith").out
    assert "Reports: craft_bits, length of the key" in shown


def test_the_summary_tells_of_the_attackers_own_model(
    records: dict[tuple[str, str], dict[str, Any]], results: Path, benchkit_cli: Cli
) -> None:
    plugins = ["-p", TESTS / "toy.py", "-p", TESTS / "locksmith.py", "--models", "locked", "--results", results]
    ran = benchkit_cli("plan", "--attacks", "none,locksmith", "--defenses", "", "--dataset", "toy", *plugins)
    assert "2 victims: 0 cached, 2 to train; 1 model for attackers to craft locksmith, 1 to train; " in ran.out
