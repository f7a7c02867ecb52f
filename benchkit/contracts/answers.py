"""What a defense may need of a victim: all of it, its answers alone, or the set that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.models.classifier import Classifier

VICTIM = ("model", "logits", "labels")
"""Needs that a victim meets: weights, features and gradients; logits alone; predicted labels alone."""
Query = Callable[["Tensor"], "Tensor"]
"""What a victim answers: for images (N, C, H, W), uint8 or float in [0, 1], one row each."""


def answers(model: Classifier | None, needs: Collection[str]) -> Mapping[str, Query]:
    """Return what a defense with these needs may ask a victim, by name: ``logits``, ``labels``."""
    if model is None:
        return {}
    labels: dict[str, Query] = {"labels": lambda images: model.logits(images).argmax(1)} if {*VICTIM} & {*needs} else {}
    return labels | ({"logits": model.logits} if {"model", "logits"} & {*needs} else {})
