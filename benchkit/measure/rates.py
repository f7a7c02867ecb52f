"""Rates from scores and flags: the arithmetic of detection and filtering, independent of their source."""

from __future__ import annotations

import torch
from torch import Tensor

Metrics = dict[str, float]


def mean(hits: Tensor) -> float:
    """Return the share of True in a bool tensor (N,)."""
    return hits.double().mean().item()


def roc(clean: Tensor, triggered: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many clean and how many triggered scores are at least as high as each score that there is.

    Both are int64 (T + 1,) for T different scores, from none of them to all of them.
    """
    scores, order = torch.cat([clean, triggered]).sort(descending=True)
    ends = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])  # equal scores are flagged together
    hits = order >= len(clean)
    counts = ((~hits).cumsum(0)[ends], hits.cumsum(0)[ends])
    wrong, right = (torch.cat([torch.zeros(1, dtype=torch.int64), one]) for one in counts)
    return wrong, right


def area(wrong: Tensor, right: Tensor) -> float:
    """Return the area under a ROC curve, from the numbers that ``roc`` returns."""
    twice = (wrong.diff() * (right[1:] + right[:-1])).sum()
    return int(twice) / (2 * int(wrong[-1]) * int(right[-1]))


def detection(clean: Tensor, triggered: Tensor, threshold: float) -> Metrics:
    """Return AUROC, accuracy, BDR, FPR and TPR at 1 % and 5 % FPR from scores, higher = more suspicious."""
    wrong, right = roc(clean, triggered)
    fpr, tpr = wrong.double() / len(clean), right.double() / len(triggered)
    flagged_clean, flagged = mean(clean > threshold), mean(triggered > threshold)
    return {
        "auroc": area(wrong, right),
        "acc": (1 - flagged_clean + flagged) / 2,
        "bdr": flagged,
        "fpr": flagged_clean,
        "tpr_at_1fpr": float(tpr[fpr <= 0.01].max()),
        "tpr_at_5fpr": float(tpr[fpr <= 0.05].max()),
    }


def beyond_control(control: Tensor, triggered: Tensor, threshold: float) -> Metrics:
    """Return the detection beyond the control: the same images with the same processing, without the trigger."""
    flagged = mean(control > threshold)
    return {
        "fpr_control": flagged,
        "bdr_net": mean(triggered > threshold) - flagged,
        "auroc_control": area(*roc(control, triggered)),
    }


def at_argmax(clean: Tensor, triggered: Tensor, control: Tensor) -> Metrics:
    """Return accuracy and rates at the detector's own boundary, a score of 0, as reported in papers."""
    false_alarms, flagged = mean(clean > 0), mean(triggered > 0)
    return {
        "acc_argmax": (1 - false_alarms + flagged) / 2,
        "bdr_argmax": flagged,
        "fpr_argmax": false_alarms,
        "fpr_control_argmax": mean(control > 0),
    }


def filtering(drop: Tensor, mask: Tensor, cover: Tensor) -> Metrics:
    """Return precision and recall of dropping poisons (mask), and the shares of clean images and covers dropped.

    Covers are neither poisons nor clean images: precision, recall and FPR leave them out. All are bool (N,).
    """
    metrics = {"fpr": mean(drop[~mask & ~cover])}
    if mask.any():
        dropped = mask[drop & ~cover]
        metrics["recall"] = mean(drop[mask])
        metrics["precision"] = mean(dropped) if len(dropped) else 0.0
    return metrics | ({"cover_recall": mean(drop[cover])} if cover.any() else {})
