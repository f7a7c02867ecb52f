"""benchmarks/experiments/random_filter.py drops poison and clean rows alike, as many as it is told to."""

from __future__ import annotations

from pathlib import Path

from fixture_types import Cli, RecordsIn

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "experiments" / "random_filter.py"


def test_it_drops_as_much_of_the_poison_as_of_the_rest(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "random-filter:share=0.5", "-p", PLUGIN, "--poison-rate", "0.5")
    assert ran.code == 0, ran.err
    (found,) = (one for one in records_in(tmp_path / "results") if one["defense"].startswith("random-filter"))
    metrics, rate = found["metrics"], found["metrics"]["poisoned"]
    dropped = rate * metrics["recall"] + (1 - rate) * metrics["fpr"]
    assert abs(dropped - 0.5) < 0.01
    assert abs(metrics["recall"] - metrics["fpr"]) < 0.25
