"""The metrics and curves of input detectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.contracts.verdicts import verdict
from benchkit.errors import ContractError
from benchkit.measure.evidence import Measurement, curves
from benchkit.measure.rates import at_argmax, beyond_control, detection, mean
from benchkit.measure.truth import PROBE, GroundTruth, SceneFor

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.kinds import InputDetector
    from benchkit.contracts.scene import Scene
    from benchkit.contracts.verdict import Verdict


def clean_scores(defense: InputDetector, scene_for: SceneFor, images: Tensor) -> tuple[Verdict, float]:
    """Return a detector's verdict with a score of each clean test image, float64 (N,) on the CPU, and its threshold.

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
    said = _scored(defense, test, scene_for, "clean") if processed else truth.scored.said
    clean = said.score
    found = Measurement({"fpr": mean(clean > threshold)}, verdicts=[said])
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
    said = _scored(defense, truth.triggered, scene_for, "triggered")
    triggered = said.score
    control = _control(defense, clean, scene_for, truth)
    metrics = detection(clean, triggered, threshold) | beyond_control(control, triggered, threshold)
    metrics |= at_argmax(clean, triggered, control) if defense.has_boundary else {}
    if truth.judged:
        hits = (truth.judged["triggered"] == truth.wanted).cpu()
        metrics["asr_after"] = mean(hits & (triggered <= threshold))
    return Measurement(metrics, {"curves": curves(clean, triggered, control) | {"threshold": threshold}}, [said])


def _control(defense: InputDetector, plain: Tensor, scene_for: SceneFor, truth: GroundTruth) -> Tensor:
    """Return the scores of the control images; if the stamp only adds its trigger, these are the clean images."""
    if truth.control.equal(truth.test.images[truth.rows]):
        return plain
    scores: Tensor = _scored(defense, truth.control, scene_for, "control").score
    return scores


def _scored(defense: InputDetector, images: Tensor, scene_for: SceneFor, which: str) -> Verdict:
    """Return a verdict with one checked score per image, float64 on the CPU."""
    probe = images[:PROBE]
    once, again = (_checked(defense, probe.clone(), scene_for("probe")) for _ in range(2))
    checks.repeats(defense.name, "score", once.score, again.score)
    return _checked(defense, images, scene_for(f"score {which}"))


def _checked(defense: InputDetector, images: Tensor, scene: Scene) -> Verdict:
    said = verdict(defense, "score", defense.score(images, scene), scene)
    return replace(said, score=checks.scores(defense.name, "score", said.score, len(images)))
