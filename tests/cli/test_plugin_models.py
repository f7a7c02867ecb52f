"""A network that a plugin offers, from the command line."""

from __future__ import annotations

from pathlib import Path

from fixture_types import Cli, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
MODEL = """
from torch import nn
import benchkit

@benchkit.hookimpl
def benchkit_model(name, classes, channels, size):
    if name == "two-layers":
        hidden = nn.Linear(channels * size * size, {width})
        return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear({width}, classes))
"""


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
