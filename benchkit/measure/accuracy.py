"""C-Acc, ASR, RA and DER of predicted labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchkit.measure.rates import Metrics, mean

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.measure.truth import GroundTruth, Predict
    from benchkit.models.classifier import Classifier


def accuracies(clean: Tensor, triggered: Tensor, truth: GroundTruth, others: Tensor | None = None) -> Metrics:
    """Return C-Acc over all test images, ASR and RA over the triggered ones, and ASR over others, by their labels."""
    metrics = {"c_acc": mean(clean == truth.test.labels)}
    if not truth.benign:
        metrics["asr"] = mean(triggered == truth.wanted)
        metrics["ra"] = mean(triggered == truth.test.labels[truth.rows])
    if truth.others and others is not None:
        metrics["asr_others"] = mean(others == truth.others.wanted)
    return metrics


def baseline(truth: GroundTruth) -> Metrics:
    """Return the same of the undefended victim; nothing without victims."""
    judged = truth.judged
    return accuracies(judged["clean"], judged["triggered"], truth, judged.get("others")) if judged else {}


def defended(predict: Predict, truth: GroundTruth) -> Metrics:
    """Return C-Acc, ASR, RA of a defended predictor, and DER against the undefended victim.

    DER = (max(0, drop of ASR) - max(0, drop of C-Acc) + 1) / 2 (Zhu et al., 2023).
    """
    triggered = predict(truth.triggered) if not truth.benign else truth.wanted
    others = predict(truth.others.images) if truth.others else None
    metrics = accuracies(predict(truth.test.images), triggered, truth, others)
    before = baseline(truth)
    if "asr" in before:
        gained = max(0.0, before["asr"] - metrics["asr"])
        lost = max(0.0, before["c_acc"] - metrics["c_acc"])
        metrics["der"] = (gained - lost + 1) / 2
    return metrics


def labelled_by(model: Classifier) -> Predict:
    """Return what predicts the labels that a model gives, on the device of the images."""
    return lambda images: model.logits(images).argmax(1).to(images.device)
