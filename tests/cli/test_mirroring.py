"""Images are mirrored in training only where recipe and dataset allow it, and everything says whether they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Ran, RecordsIn

from benchkit.plan.planner import plan
from benchkit.plan.steps import Plan, Step
from benchkit.spec.registry import load
from benchkit.spec.spec import make, recipe

ARROWS = Path(__file__).parents[1] / "shared" / "arrows.py"
RECIPE = "fast:epochs=8,batch=32,crop=0"
ORIENTED = {"gtsrb", "mnist", "svhn"}
OPTIONS: dict[str, str | bool] = {
    "attacks": "badnets", "defenses": "fine-tuning,mna:recipe=fast", "models": "narrownet", "seeds": "1",
    "poison_rate": "0.1", "recipe": "fast", "victims": True, "population": "2",
}  # fmt: skip


class Anything(dict[Any, str]):
    """The fingerprint of every dataset."""

    def __missing__(self, dataset: object) -> str:
        return ""


def trainings(made: Plan) -> list[Step]:
    """Return the steps of a plan that train networks."""
    return [step for step in made.steps.values() if step.stage in ("train", "population", "shadows")]


@pytest.fixture
def arrows(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Run the benign row and a fine-tuning of it on a dataset of arrows."""

    def run(command: str, dataset: str) -> Ran:
        asked = ["--attacks", "none", "--defenses", "none,fine-tuning", "--dataset", dataset, "--recipe", RECIPE]
        return benchkit_cli(command, *asked, "-p", ARROWS, "--results", tmp_path / "results")

    return run


def test_classes_that_are_mirror_images_are_learned_only_without_mirroring(
    arrows: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    for dataset in ("arrows", "arrows:mirror=true"):
        ran = arrows("run", dataset)
        assert ran.code == 0, ran.err
    found = {(one["dataset"], one["defense"]): one for one in records_in(tmp_path / "results")}
    right = {where: record["metrics"]["c_acc"] for where, record in found.items()}
    assert right["arrows", "none"] > 0.95
    assert right["arrows", "fine-tuning"] > 0.95
    assert right["arrows:mirror=true", "none"] < 0.75
    assert found["arrows", "none"]["recipe"] == "fast:epochs=8,batch=32,flip=false,crop=0"
    assert found["arrows:mirror=true", "none"]["recipe"] == RECIPE


def test_the_tables_and_the_plan_say_it(arrows: Cli, benchkit_cli: Cli) -> None:
    told = benchkit_cli("show", "arrows", "-p", ARROWS).out
    assert "every recipe trains without mirroring (flip=false)" in told
    assert "every recipe trains without mirroring (flip=false)" in arrows("plan", "arrows").out
    assert "mirroring" not in arrows("plan", "arrows:mirror=true").out


@pytest.mark.parametrize("name", load().datasets)
def test_digits_and_traffic_signs_are_never_mirrored(name: str) -> None:
    """Victims, populations and shadow models alike, and what they are trained with is part of their keys."""
    registry = load()
    mirrored = plan(make({**OPTIONS, "datasets": f"{name}:mirror=true"}, registry), Anything())
    made = plan(make({**OPTIONS, "datasets": name}, registry), Anything())
    assert {step.stage for step in trainings(made)} == {"train", "population", "shadows"}
    assert {recipe(step.job.recipe).flip for step in trainings(made)} == {name not in ORIENTED}
    kept = {step.key for step in trainings(made)} & {step.key for step in trainings(mirrored)}
    assert bool(kept) == (name not in ORIENTED)
