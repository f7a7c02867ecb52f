"""The sentences about numbers that need care."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchkit.measure.accuracy import baseline
from benchkit.measure.rates import Metrics, mean
from benchkit.records.doubts import IMPLANTED, NOT_IMPLANTED, SHORTFALL, Known, about_defended, about_victim

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.measure.truth import GroundTruth


def warnings(metrics: Metrics, truth: GroundTruth) -> list[str]:
    """Return one sentence for each number that needs care."""
    found = []
    if metrics.get("auroc", 1.0) < 0.4 and "tpr_at_1fpr" in metrics:
        found.append("AUROC is far below 0.5: the scores separate, but the wrong way round")
    if metrics.get("auroc_high", 1.0) < 0.5:
        found.append("AUROC is below 0.5 over the population: the scores tell models apart, but the wrong way round")
    if truth.shortfall:
        found.append(f"{SHORTFALL}: {truth.shortfall}")
    if truth.judged and not truth.benign:
        if _moved("benign_clean", "benign_triggered", truth):
            found.append("the trigger alone moves a clean model: part of the ASR is not a backdoor")
        if _moved("clean", "control", truth):
            found.append("what the attack does besides its trigger moves the victim: part of the ASR is owed to that")
        if baseline(truth)["asr"] < IMPLANTED:
            found.append(NOT_IMPLANTED)
    return found + _doubts(metrics, truth)


def _doubts(metrics: Metrics, truth: GroundTruth) -> list[str]:
    """Return the doubts about the victim, and about the result of the defense if its accuracy is lower."""
    if not truth.judged:
        return []
    victim, benign = (_known(truth.judged[name], truth) for name in ("clean", "benign_clean"))
    found, left = about_victim(victim, benign), round(metrics.get("c_acc", 1.0) * victim.images)
    return found + (about_defended(replace(victim, right=left), benign) if left < victim.right else [])


def _known(predicted: Tensor, truth: GroundTruth) -> Known:
    labels = truth.test.labels
    return Known(int((predicted == labels).sum()), len(labels), int(labels.bincount().max()))


def _moved(before: str, after: str, truth: GroundTruth) -> bool:
    """Return whether clearly more images are classified as the attacker wants after a change than before it."""
    base = mean(truth.judged[before][truth.rows] == truth.wanted)
    margin = max(0.05, 3 * (base * (1 - base) / len(truth.rows)) ** 0.5)
    return bool(mean(truth.judged[after] == truth.wanted) > base + margin)
