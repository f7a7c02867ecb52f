"""What a victim is asked about. It stands by itself, since the answers are kept under this code's fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Ask = Callable[["Tensor"], "Tensor"]
"""Maps uint8 images (N, C, H, W) to the labels that a model predicts, int64 (N,)."""


def answers(
    ask: Ask, test: Tensor, clean: Tensor, rows: Tensor, triggered: Tensor, control: Tensor
) -> dict[str, Tensor]:
    """Return the labels that the victim predicts, int64, by what it was asked.

    Args:
        ask: the victim.
        test: the clean test images, uint8 (N, C, H, W).
        clean: what it says of those, (N,).
        rows: which of them were stamped, int64 (M,).
        triggered: those with the trigger, uint8 (M, C, H, W).
        control: those after the stamp's processing alone, likewise; mostly as they were.
    """
    untouched = control.equal(test[rows])
    return {"clean": clean, "triggered": ask(triggered), "control": clean[rows] if untouched else ask(control)}
