"""Does an input detector keep its false alarm rate on new clean images?

A benign row of ``benchkit run`` answers this with one draw of the defender's images a seed. Here each of many draws
splits the test images at random: as many as the defender holds teach the detector and set its threshold, all others
are new. Both parts are of one distribution and neither has been seen by the victim, so that what is flagged beyond the
rate that was asked for is the detector's own doing:

    benchkit run --attacks none --defenses beatrix,nic --seeds 0,
    python benchmarks/experiments/false_alarms.py --defenses beatrix,nic --seeds 0,

The first command trains the benign victims, the second, asked for the same, reads them from the results folder. Columns
of the CSV, of which shares are between 0 and 1:

    detector, seed  the detector, and the seed of the benign victim
    asked           the share of clean images that its threshold is to flag
    expected        what the quantile of so many scores lets pass on average, if new images score as these do
    flagged, error  mean share of new images that is flagged, and its standard error over the draws
    least, most     of the draws
    held, new       how many images teach the detector, and how many are new
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import _common as common
import click
import torch

from benchkit import BenchkitError, InputDetector
from benchkit.contracts.verdict import plain
from benchkit.measure.rates import mean
from benchkit.protocol import cutoff_at, generator, holdout_rows
from benchkit.stages.scenes import defender
from benchkit.stages.workspace import Task

NEEDED = {"data", "poison", "train"}
"""Stages whose results are read; what detectors learn and score is computed anew."""


@dataclasses.dataclass(frozen=True)
class Draw:
    """What one split of the test images gave: how many taught, were scored for the threshold, are new, are flagged."""

    held: int
    scored: int
    new: int
    flagged: float


def draw(detector: InputDetector, task: Task, number: int) -> Draw:
    """Teach a detector with some test images, and count its alarms on the others."""
    given, test = defender(task, "fit"), task.data.test
    rows = holdout_rows(test.labels, number, len(given.clean) / len(test))
    new = torch.ones(len(test), dtype=torch.bool).index_fill(0, rows, value=False)
    held = test[rows]
    scene = dataclasses.replace(given, held=held, rng=generator(task.job.seed, "false alarms", str(number)))
    scene = dataclasses.replace(scene, prepared=detector.prepare(scene))
    scene = dataclasses.replace(scene, fitted=detector.fit(scene))
    usual = plain(detector.calibration(scene))
    scores = plain(detector.score(test.images[new], scene))
    return Draw(len(held), len(usual), int(new.sum()), mean(scores > cutoff_at(usual, detector.allowed_fpr)))


def row(detector: InputDetector, task: Task, draws: int) -> common.Row:
    """Return what one detector does with one benign victim."""
    found = [draw(detector, task, number) for number in range(draws)]
    shares = torch.tensor([one.flagged for one in found], dtype=torch.float64)
    asked, scored = detector.allowed_fpr, found[0].scored
    return {
        "detector": str(detector),
        "seed": task.job.seed,
        "asked": asked,
        "expected": (1 + (scored - 1) * asked) / (scored + 1),
        "flagged": float(shares.mean()),
        "error": float(shares.std()) / draws**0.5,
        "least": float(shares.min()),
        "most": float(shares.max()),
        "held": found[0].held,
        "new": found[0].new,
    }


@click.command()
@click.option("--defenses", required=True, help="The input detectors, such as beatrix,nic.")
@click.option("--draws", default=20, show_default=True, type=click.IntRange(2), help="Splits of the test images.")
@common.of_a_run
@click.option("--out", type=click.Path(path_type=Path), default=Path("false_alarms.csv"), show_default=True)
def main(draws: int, out: Path, **asked: Any) -> None:
    """Count the false alarms of input detectors on new clean images, with benign victims of a finished benchkit run."""
    common.check_outputs(out, plot=False)
    made, found = common.finished(attacks="none", read=NEEDED, **asked), []
    for step in made.plan.of("cell"):
        task = made.workspace.task(step.job)
        if not isinstance(task.defense, InputDetector):
            raise BenchkitError(f"{task.defense.name} scores no images: name input detectors alone")
        found.append(row(task.defense, task, draws))
    common.finish(found, out)


if __name__ == "__main__":
    common.run(main)
