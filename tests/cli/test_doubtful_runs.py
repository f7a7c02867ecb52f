"""Runs whose numbers must not be read at face value: what their records and tables say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchkit.records.doubts import DEFENDED_AT_CHANCE, VICTIM_AT_CHANCE

PLUGIN = '''
from dataclasses import dataclass
import torch
import benchkit

@dataclass(frozen=True)
class Wreck(benchkit.CleanImages, benchkit.ModelRepair):
    """Forgets everything."""

    name = "wreck"

    def repair(self, scene):
        torch.nn.init.zeros_(scene.model.head.weight)
        return scene.model

@benchkit.hookimpl
def benchkit_defenses():
    return [Wreck]
'''
Cell = Callable[[str, str], dict[str, Any]]


def test_a_wrecked_model_is_marked_and_its_victim_is_not(toy_run: Any, cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "wreck.py").write_text(PLUGIN)
    ran = toy_run("--attacks", "corner", "--defenses", "none,wreck", "-p", tmp_path / "wreck.py")
    assert ran.code == 0, ran.err
    assert DEFENDED_AT_CHANCE in cell("corner", "wreck")["warnings"]
    assert VICTIM_AT_CHANCE not in cell("corner", "none")["warnings"]
    assert cell("corner", "wreck")["tested"] == {"clean": 120, "triggered": 90}
    assert DEFENDED_AT_CHANCE in ran.out


def test_a_row_poisoned_less_than_asked_and_its_victim_at_chance_are_told(toy_run: Any, cell: Cell) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "none,brightest", "--poison-rate", "0.9")
    assert ran.code == 0, ran.err
    assert all(cell("corner", name)["metrics"]["poisoned"] < 0.8 for name in ("none", "brightest"))
    assert all(VICTIM_AT_CHANCE in cell("corner", name)["warnings"] for name in ("none", "brightest"))
    (line,) = [line for line in ran.out.splitlines() if line.startswith("| corner")]
    assert line.startswith("| corner (poisoned 7")
    assert line.count("!") == 2
    assert "**" not in line
    assert "not the requested 90 %" in ran.out
