"""Does what a meta-classifier learns from shadow models carry over to victims? (Xu et al., IEEE S&P 2021).

A model detector that learns from shadow models may fail for want of them, or because victims are not like them. This
tells the two apart. It pools the shadow models of several seeds, lets the detector learn from those of all seeds but
one, and asks it about the shadow models of that seed, about victims, and about how it does with all of them:

    benchkit run --attacks none,badnets,smooth --defenses mna --population 4 --no-victims --seeds 3
    python benchmarks/experiments/shadow_transfer.py --attacks badnets,smooth --defense mna --population 4 --seeds 3

The first command trains everything; the second, asked for the same, reads it from the results folder and trains only
meta-classifiers. ``--as`` is another detector that is to learn from the same shadow models, such as
``mna:queries=10,start=noise,logits=raw``. Columns of the CSV:

    detector, learned  the detector, and how many shadow models it learned from
    left_out           the seed that it learned nothing from, or ""
    shadows            AUROC on that seed's shadow models, even numbers benign, odd ones backdoored
    ATTACK             AUROC on the victims of all seeds, backdoored by this attack against benign ones
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import _common as common
import click
import torch

from benchkit import ModelDetector, Scene
from benchkit.measure.rates import detection
from benchkit.models.classifier import Classifier
from benchkit.plan.job import SUSPECTS, Stage
from benchkit.plan.steps import Plan
from benchkit.spec.spec import component
from benchkit.stages.scenes import defender
from benchkit.stages.workspace import Workspace

NEEDED = set(get_args(Stage)) - {"train", "judge", "cell"}
"""Stages whose results are read; populations have victims of their own, and are judged anew."""
Victims = dict[str, list[Classifier]]
"""Models of a population by attack, of all seeds; those of ``none`` are benign."""


def learning_scenes(made: Plan, workspace: Workspace) -> dict[int, Scene]:
    """Return what the detector learned from under each seed: clean images, and shadow models."""
    return {step.job.seed: defender(workspace.task(step.job), "prepare", fit=False) for step in made.of("prepare")}


def judged(made: Plan, workspace: Workspace) -> Victims:
    """Return every model of the populations, once."""
    jobs = {step.parents[SUSPECTS]: step.job for step in made.of("audit")}
    found: Victims = {}
    for job in jobs.values():
        found.setdefault(job.attack.partition(":")[0], []).extend(workspace.task(job).suspects())
    return found


def auroc(benign: torch.Tensor, backdoored: torch.Tensor) -> float:
    """Return how well scores rank backdoored models above benign ones."""
    return detection(benign, backdoored, 0.0)["auroc"]


def row(detector: ModelDetector, learned: Sequence[Scene], left_out: Scene | None, victims: Victims) -> common.Row:
    """Let a detector learn from the shadow models of some seeds, and return how it ranks what it has not seen."""
    shadows = [model for scene in learned for model in scene.shadows]
    scene = dataclasses.replace(learned[0], shadows=shadows, rng=torch.Generator().manual_seed(0))
    knowing = dataclasses.replace(scene, shadows=(), prepared=detector.prepare(scene))

    def scores(models: Sequence[Classifier]) -> torch.Tensor:
        return torch.tensor([detector.score(dataclasses.replace(knowing, granted=model)) for model in models])

    benign = scores(victims["none"])
    unseen = left_out.shadows if left_out else ()
    return {
        "detector": str(detector),
        "learned": len(shadows),
        "left_out": "",
        "shadows": auroc(scores(unseen[0::2]), scores(unseen[1::2])) if unseen else "",
        **{name: auroc(benign, scores(models)) for name, models in victims.items() if name != "none"},
    }


def rows(detector: ModelDetector, scenes: dict[int, Scene], victims: Victims) -> list[common.Row]:
    """Leave out each seed in turn, where there are several, and then none."""
    found = []
    for seed, scene in scenes.items() if len(scenes) > 1 else ():
        others = [one for one in scenes.values() if one is not scene]
        found.append(row(detector, others, scene, victims) | {"left_out": seed})
    return [*found, row(detector, list(scenes.values()), None, victims)]


@click.command()
@click.option("--attacks", default="badnets,smooth", show_default=True, help="Whose victims are judged.")
@click.option("--defense", default="mna", show_default=True, help="The model detector whose shadow models these are.")
@click.option("--as", "others", multiple=True, help="Another detector that learns from them, too; may be repeated.")
@click.option("--population", default=4, show_default=True, type=click.IntRange(1))
@common.of_a_run
@click.option("--out", type=click.Path(path_type=Path), default=Path("shadow_transfer.csv"), show_default=True)
def main(attacks: str, defense: str, others: tuple[str, ...], out: Path, **asked: Any) -> None:
    """Tell whether a detector lacks shadow models or victims are not like them, from a finished benchkit run."""
    common.check_outputs(out, plot=False)
    made = common.finished(attacks=f"none,{attacks}", defenses=defense, read=NEEDED, **asked)
    scenes, victims = learning_scenes(made.plan, made.workspace), judged(made.plan, made.workspace)
    if not any(scene.shadows for scene in scenes.values()):
        raise click.UsageError(f"{defense} learns from no shadow models")
    found = []
    for text in (defense, *others):
        found += rows(component(text, "defenses", made.registry), scenes, victims)
    common.finish(found, out)


if __name__ == "__main__":
    common.run(main)
