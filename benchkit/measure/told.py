"""What verdicts tell beside their scores: metrics of the defense's own, the classes it suspects, and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchkit.contracts.verdicts import radii
from benchkit.measure.evidence import Measurement, png, true_trigger
from benchkit.measure.rates import mean
from benchkit.records.record import Suspect

if TYPE_CHECKING:
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.verdict import Verdict
    from benchkit.measure.rates import Metrics
    from benchkit.measure.truth import GroundTruth, Predict


def told(defense: Defense, verdicts: Sequence[Verdict], truth: GroundTruth) -> Measurement:
    """Return what checked verdicts on a victim, or on each model of a population, add to a record.

    Metrics are means over models; images are those of the first.
    """
    if not verdicts:
        return Measurement({})
    named = [one.classes for one in verdicts if one.classes is not None]
    metrics = {one.name: float(np.mean([each.metrics[one.name] for each in verdicts])) for one in defense.metrics}
    suspected = {"suspected": _suspected(named, truth.names)} if named else {}
    return Measurement({**metrics, **_found(named, truth)}, {**suspected, **_gallery(verdicts[0], truth)})


def certified(defense: Defense, said: Verdict, predict: Predict, truth: GroundTruth) -> Metrics:
    """Return what a certificate is worth on the clean test images, if there is one.

    Right answers count if they hold for as many changed training images as this attack changed.
    """
    if said.certificate is None:
        return {}
    radius = radii(defense, said.certificate, truth.test.images)
    changed = int(truth.train.changed.sum()) if truth.train else 0
    right = (predict(truth.test.images) == truth.test.labels).cpu()
    return {"certified_acc": mean(right & (radius >= changed)), "certified_radius": float(radius.median())}


def _suspected(named: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[Suspect, ...]:
    counts = Counter(number for classes in named for number in classes)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Suspect(number=number, name=names[number], models=models) for number, models in ordered)


def _found(named: Sequence[Sequence[int]], truth: GroundTruth) -> Metrics:
    """Return in what share of cases the attack's one target is among the suspected classes, if there is such a case."""
    if len(truth.targets) != len(named):
        return {}
    hits = [target in classes for target, classes in zip(truth.targets, named, strict=True) if target is not None]
    return {"target_found": float(np.mean(hits))} if hits else {}


def _gallery(verdict: Verdict, truth: GroundTruth) -> dict[str, Any]:
    """Return the images of a verdict, beside an example of the true trigger."""
    if not verdict.images:
        return {}
    shown = {name: png(image.float()) for name, image in verdict.images.items()}
    if len(truth.rows):
        shown |= true_trigger(truth.test.images[truth.rows[0]], truth.triggered[0])
    return {"gallery": shown}
