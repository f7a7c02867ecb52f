"""Rates from scores and flags: the arithmetic of detection and filtering, independent of their source."""

from __future__ import annotations

import torch
from torch import Tensor

Metrics = dict[str, float]


def mean(hits: Tensor) -> float:
    """Return the share of True in a bool tensor (N,)."""
    return hits.double().mean().item()


def detection(clean: Tensor, triggered: Tensor, threshold: float) -> Metrics:
    """Return AUROC, accuracy, BDR, FPR and TPR at 1 % and 5 % FPR from scores, higher = more suspicious."""
    from sklearn.metrics import roc_auc_score, roc_curve

    truth = torch.cat([torch.zeros(len(clean)), torch.ones(len(triggered))]).numpy()
    scores = torch.cat([clean, triggered]).numpy()
    # Every point is kept: by default, points on straight parts of the curve are dropped, which are needed here.
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    flagged_clean, flagged = mean(clean > threshold), mean(triggered > threshold)
    return {
        "auroc": float(roc_auc_score(truth, scores)),
        "acc": (1 - flagged_clean + flagged) / 2,
        "bdr": flagged,
        "fpr": flagged_clean,
        "tpr_at_1fpr": float(tpr[fpr <= 0.01].max()),
        "tpr_at_5fpr": float(tpr[fpr <= 0.05].max()),
    }


def beyond_control(control: Tensor, triggered: Tensor, threshold: float) -> Metrics:
    """Return the detection beyond the control: the same images with the same processing, without the trigger."""
    from sklearn.metrics import roc_auc_score

    truth = torch.cat([torch.zeros(len(control)), torch.ones(len(triggered))]).numpy()
    flagged = mean(control > threshold)
    return {
        "fpr_control": flagged,
        "bdr_net": mean(triggered > threshold) - flagged,
        "auroc_control": float(roc_auc_score(truth, torch.cat([control, triggered]).numpy())),
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
