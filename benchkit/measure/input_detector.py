"""The metrics and curves of input detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.errors import ContractError
from benchkit.measure.evidence import Measurement, curves
from benchkit.measure.rates import at_argmax, beyond_control, detection, mean
from benchkit.measure.truth import PROBE, GroundTruth, SceneFor

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.defense import InputDetector


def clean_scores(defense: InputDetector, scene_for: SceneFor, images: Tensor) -> tuple[Tensor, float]:
    """Return a detector's score of each clean test image, float64 (N,) on the CPU, and its threshold.

    Args:
        defense: the detector.
        scene_for: makes the scenes it is handed.
        images: uint8 (N, C, H, W).
    """
    threshold = checks.number(defense.name, "cutoff", defense.cutoff(scene_for("threshold")))
    return _scored(defense, images, scene_for, "clean"), threshold


def measure_input_detector(defense: InputDetector, scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Score the same test images without and with the trigger; flag scores above the defender's threshold."""
    if truth.scored is None:
        raise ContractError("this kind of defense is measured with its scores of clean images")
    threshold, test = truth.scored.threshold, truth.test.images
    processed = not test.equal(truth.scored.images)
    clean = _scored(defense, test, scene_for, "clean") if processed else truth.scored.scores
    found = Measurement({"fpr": mean(clean > threshold)})
    if not truth.benign:
        found = _detected(defense, clean[truth.rows.cpu()], threshold, scene_for, truth)
    if truth.judged:
        right = (truth.judged["clean"] == truth.test.labels).cpu()
        found.metrics["c_acc_after"] = mean(right & (clean <= threshold))
    return found


def _detected(
    defense: InputDetector, clean: Tensor, threshold: float, scene_for: SceneFor, truth: GroundTruth
) -> Measurement:
    """Compare the scores of triggered images with those of the same clean images, and of their controls."""
    triggered = _scored(defense, truth.triggered, scene_for, "triggered")
    control = _control(defense, clean, scene_for, truth)
    metrics = detection(clean, triggered, threshold) | beyond_control(control, triggered, threshold)
    metrics |= at_argmax(clean, triggered, control) if defense.has_boundary else {}
    if truth.judged:
        hits = (truth.judged["triggered"] == truth.wanted).cpu()
        metrics["asr_after"] = mean(hits & (triggered <= threshold))
    return Measurement(metrics, {"curves": curves(clean, triggered, control) | {"threshold": threshold}})


def _control(defense: InputDetector, plain: Tensor, scene_for: SceneFor, truth: GroundTruth) -> Tensor:
    """Return the scores of the control images; if the stamp only adds its trigger, these are the clean images."""
    if truth.control.equal(truth.test.images[truth.rows]):
        return plain
    return _scored(defense, truth.control, scene_for, "control")


def _scored(defense: InputDetector, images: Tensor, scene_for: SceneFor, which: str) -> Tensor:
    """Return one checked score per image, float64 on the CPU."""
    probe = images[:PROBE]
    once, again = (defense.score(probe.clone(), scene_for("probe")) for _ in range(2))
    first = checks.scores(defense.name, "score", once, len(probe))
    checks.repeats(defense.name, "score", first, checks.scores(defense.name, "score", again, len(probe)))
    return checks.scores(defense.name, "score", defense.score(images, scene_for(f"score {which}")), len(images))
