"""Records as runs write them, for tests of what is told of them."""

from __future__ import annotations

from typing import Any

from benchkit.records.record import parse
from benchkit.report.cells import Cell, cells_of
from benchkit.report.formats.text import to_text
from benchkit.report.tables.matrix import Axes, matrix

KINDS = {"none": "baseline", "freq-detector": "input detector", "probe": "input detector", "strip": "input detector"}
"""What kind of defense each name is; any other is a model repair."""
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def record(attack: str, defense: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the record of a cell without metrics, with some fields replaced."""
    found = {
        "schema": 1, "key": f"{attack}-{defense}-{seed}", "dataset": "scenes", "model": "narrownet",
        "recipe": "fast", "attack": attack, "defense": defense, "seed": seed, "poison_rate": 0.1,
        "status": "ok", "error": None, "metrics": {}, "warnings": [],
        "attack_info": {
            "access": "data", "label_policy": "clean" if attack == "sig" else "dirty",
            "benign": attack == "none", "params": {"target": 0},
        },
        "defense_info": {
            "kind": KINDS.get(defense.partition(":")[0], "model repair"),
            "stage": "inference", "clean": 0.05, "overlap": False,
        },
        "costs": {"cell": {"seconds": 1.5, "peak_mb": 512}}, "versions": {"benchkit": "0.1.0"},
        "device": "cpu", "threads": 1, "finished": "2026-11-20T22:10:00Z",
    }  # fmt: skip
    return found | changes


def cells(records: list[dict[str, Any]]) -> list[Cell]:
    return cells_of([found for found in map(parse, records) if found])


# Three seeds of BadNets against nothing and fine-pruning; one failed, one timed out, one skipped.
MATRIX = [
    record("none", "none", metrics={"c_acc": 0.92}),
    record("none", "freq-detector", metrics={"fpr": 0.05}),
    *[record("badnets:size=5", "none", k, metrics={"c_acc": 0.9, "asr": 0.97 + k / 100}) for k in range(3)],
    *[record("badnets:size=5", "fine-pruning", k, metrics={"c_acc": 0.85, "asr": 0.3}) for k in (0, 1)],
    record("badnets:size=5", "fine-pruning", 2, status="failed", error="the 100% loss_sum is not finite"),
    record("badnets:size=5", "odd|a_b%", metrics={"c_acc": 0.7, "asr": 0.2}, warnings=["odd <tag>"]),
    record("badnets:size=5", "freq-detector", metrics={"auroc": 0.987, "bdr_net": 0.9}),
    record("badnets:size=5", "strip", metrics={"auroc": 0.5, "bdr_net": 0.0}),
    record("sig", "strip", status="timeout", error="took longer than 60 s"),
    record("sig", "fine-pruning", status="failed", error="the 100% loss_sum is not finite"),
    record("sig", "odd|a_b%", status="skipped", error="needs 10 classes"),
]


def drawn(records: list[dict[str, Any]], **view: Any) -> str:
    return to_text(matrix(cells(records), Axes(**view)), "markdown")
