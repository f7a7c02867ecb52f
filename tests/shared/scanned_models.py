"""Models to scan, and detectors that scan them, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from fixture_types import Cli, Ran
from safetensors.torch import save_file
from torch import nn

from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.spec.registry import load

TESTS = Path(__file__).parents[1]
TOY = TESTS / "toy.py"
PLUGIN = '''
from dataclasses import dataclass
import torch
import benchkit


@dataclass(frozen=True)
class Place(benchkit.CleanImages, benchkit.ModelDetector):
    """Scores the first bias of the head; five benign shadows scored 0 to 4."""

    name = "place"
    cut: float = benchkit.param(10.0, "threshold", used_by_prepare=False)
    fail: str = benchkit.param("", "where to fail", choices=("", "prepare", "score", "raise"))

    def prepare(self, scene):
        if self.fail == "prepare":
            raise ValueError("no shadows today")
        return {"benign_scores": torch.arange(5.0)}

    def score(self, scene):
        if self.fail == "raise":
            raise RuntimeError("fell over")
        return float("nan") if self.fail == "score" else float(scene.model.head.bias.detach()[0])

    def flags_above(self, scene):
        return self.cut


@dataclass(frozen=True)
class Normal(benchkit.CleanImages, benchkit.ModelDetector):
    """Scores the mean of the model's normalisation."""

    name = "normal"

    def score(self, scene):
        return float(scene.model.mean.mean())

    def flags_above(self, scene):
        return 1.0


@benchkit.hookimpl
def benchkit_defenses():
    return [Place, Normal]
'''


def network() -> nn.Module:
    """A narrownet that tells the toy images apart, as a head solved for does, whose first bias is 2.5."""
    torch.manual_seed(0)
    made = create("narrownet", 4, (3, 12, 12), "cpu")
    model = normalised(made)
    toy = load([str(TOY)]).get("datasets", "toy")().load(None).train
    known = torch.cat([model.features(toy.images), torch.ones(len(toy), 1)], 1)
    solved = torch.linalg.lstsq(known, torch.nn.functional.one_hot(toy.labels, 4).float()).solution
    with torch.no_grad():
        model.head.weight.copy_(solved[:-1].T)
        model.head.bias.copy_(solved[-1] - solved[-1, 0] + 2.5)
    return made


def normalised(net: nn.Module) -> Classifier:
    """Return it as benchkit keeps it, with a mean of 0.25."""
    return Classifier(net, torch.full((3,), 0.25), torch.ones(3)).eval()


def scanner(benchkit_cli: Cli, folder: Path) -> Cli:
    """Return what scans weights, or a file of them, by the detectors of ``PLUGIN``."""
    plugin = folder / "place_plugin.py"
    plugin.write_text(PLUGIN)

    def run(state: Any, *args: object, defense: str = "place", model: str = "narrownet") -> Ran:
        file = state if isinstance(state, Path) else folder / "weights.safetensors"
        if not isinstance(state, Path):
            save_file(state, file)
        fixed = ["--model", model, "--clean", "toy", "--defense", defense, "--device", "cpu", "--jobs", 1]
        return benchkit_cli("scan", "model", file, *fixed, "-p", TOY, "-p", plugin, "--results", folder / "r", *args)

    return run


def verdicts(ran: Ran) -> dict[str, Any]:
    """Return the verdicts in a scan's JSON, by defense."""
    return {row["defense"]: row for row in json.loads(ran.out)["verdicts"]}
