"""A victim is stored as weights of the network that is asked for, so its attack may return no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn

ATTACK = """
from dataclasses import dataclass
import torch
from torch import nn
import benchkit

@dataclass(frozen=True)
class Mine(benchkit.Attack):
    "Paint a corner white, and train something of its own."
    name = "mine"
    access = "training"

    def stamp(self, images, scene):
        stamped = images.clone()
        stamped[..., -3:, -3:] = 255
        return stamped

    def train(self, poisoned, scene):
        net = nn.Sequential(nn.Flatten(), nn.Linear(scene.shape[0] * scene.shape[1] * scene.shape[2], scene.classes))
        return {returned}

@benchkit.hookimpl
def benchkit_attacks():
    return [Mine]
"""


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (
            "benchkit.Classifier(net, torch.zeros(3), torch.ones(3))",
            "Classifier",
        ),
        (
            "benchkit.Ensemble([scene.network(), scene.network()])",
            "Ensemble",
        ),
    ],
)
def test_a_victim_of_another_network_fails_its_cell_with_one_sentence(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path, returned: str, kind: str
) -> None:
    (tmp_path / "mine.py").write_text(ATTACK.replace("{returned}", returned))
    ran = toy_run("--attacks", "mine", "-p", tmp_path / "mine.py")
    assert ran.code == 1
    (record,) = records_in(tmp_path / "results")
    assert f"mine.train returned a model of type {kind} that is no narrownet: victims are" in record["error"]
    assert "offer another network with benchkit_model" in record["error"]
    assert "Traceback" not in ran.err
