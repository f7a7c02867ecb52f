"""A network that a plugin offers, from the command line."""

from __future__ import annotations

from pathlib import Path

from fixture_types import Cli, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
MODEL = """
from torch import nn
import benchkit

@benchkit.hookimpl
def benchkit_model(name, classes, channels, height, width):
    if name == "two-layers":
        hidden = nn.Linear(channels * height * width, {width})
        return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear({width}, classes))
"""

OBLONG = """
from dataclasses import dataclass
import torch
import benchkit

@dataclass(frozen=True)
class Oblong(benchkit.Dataset):
    "Grey images of 48 x 64 pixels, of two classes: the left or the right half is brighter."
    name = "oblong"

    def load(self, source):
        return benchkit.Data(self._half(200, 1), self._half(80, 2), ("left", "right"))

    def _half(self, count, seed):
        images = torch.randint(0, 60, (count, 1, 48, 64), generator=torch.Generator().manual_seed(seed))
        labels = torch.arange(count) % 2
        images[labels == 0, :, :, :32] += 90
        images[labels == 1, :, :, 32:] += 90
        return benchkit.Split(images.byte(), labels)

@benchkit.hookimpl
def benchkit_datasets():
    return [Oblong]
"""


def test_a_plugins_model_takes_images_that_are_not_square(
    benchkit_cli: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    file, results = tmp_path / "oblong_nets.py", tmp_path / "results"
    file.write_text(MODEL.format(width=16) + OBLONG)
    asked = ("--attacks", "badnets", "--defenses", "none", "--dataset", "oblong", "--model", "two-layers", "-p", file)
    ran = benchkit_cli("run", *asked, "--recipe", "fast:epochs=2,batch=32", "--device", "cpu", "--results", results)
    assert ran.code == 0, ran.err
    (record,) = records_in(results)
    assert record["status"] == "ok"


def test_a_plugins_model_is_trained_and_its_code_counts(
    toy_run: Cli, benchkit_cli: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    file = tmp_path / "nets.py"
    file.write_text(MODEL.format(width=16))
    args = ("--attacks", "corner", "--model", "two-layers", "-p", file)
    assert toy_run(*args).code == 0
    (record,) = records_in(tmp_path / "results")
    assert record["model"] == "two-layers"
    fixed = ("--dataset", "toy", "--recipe", "fast:epochs=2,batch=32", "-p", TOY, "--results", tmp_path / "results")
    assert "2 victims: 2 cached" in benchkit_cli("plan", *args, *fixed).out
    changed = tmp_path / "other" / "nets.py"
    changed.parent.mkdir()
    changed.write_text(MODEL.format(width=8))
    again = benchkit_cli("plan", *args[:-1], changed, *fixed)
    assert "2 victims: 0 cached" in again.out
