"""Thresholds of detectors: ``fpr:0.05`` (this share of false alarms on clean images) or ``argmax`` (their own)."""

from __future__ import annotations

from benchkit.errors import SpecError

ARGMAX = "argmax"


def allowed_fpr(text: str) -> float:
    """Return the X of ``fpr:X``.

    Raises:
        SpecError: for any other text, and for an X that is not above 0 and below 1.
    """
    word, _, number = text.partition(":")
    try:
        rate = float(number)
    except ValueError:
        rate = -1.0
    if word != "fpr" or not 0 < rate < 1:
        raise SpecError(f"threshold must be fpr:X with X above 0 and under 1 (such as fpr:0.05), got '{text}'")
    return rate


def fault(text: str, has_boundary: bool) -> str | None:
    """Return why a detector cannot use this threshold, or None; ``has_boundary``: its scores have a boundary at 0."""
    if text == ARGMAX:
        return (
            None
            if has_boundary
            else "threshold=argmax needs scores with a boundary of their own: use threshold=fpr:0.05"
        )
    try:
        allowed_fpr(text)
    except SpecError as error:
        return str(error)
    return None
