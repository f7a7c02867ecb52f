"""Thresholds of detectors, as text: ``fpr:X`` or ``argmax`` for images, ``2`` or ``null:X`` for outlying classes.

``fpr:0.05`` is this share of false alarms on clean images, ``argmax`` the detector's own boundary. ``2`` is an index,
``null:0.05`` the index that the largest of as many normal numbers as there are classes exceeds at this rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchkit.errors import SpecError

if TYPE_CHECKING:
    from benchkit.ops.outliers import Rule

ARGMAX = "argmax"
FINEST = 0.001
"""The smallest rate that the simulated distribution of indexes can tell."""


def allowed_fpr(text: str) -> float:
    """Return the X of ``fpr:X``.

    Raises:
        SpecError: for any other text, and for an X that is not above 0 and below 1.
    """
    word, _, number = text.partition(":")
    rate = _number(number)
    if word != "fpr" or not 0 < rate < 1:
        raise SpecError(f"threshold must be fpr:X with X above 0 and under 1 (such as fpr:0.05), got '{text}'")
    return rate


def index_cutoff(text: str, classes: int, rule: Rule) -> float:
    """Return the index above which a class is an outlier: the number itself, or that of ``null:X``.

    Args:
        text: an index above 0, or ``null:X``, X from 0.001 and under 1.
        classes: among how many classes, >= 3.
        rule: how the detector computes an index per class.

    Raises:
        SpecError: for any other text.
    """
    by_chance, value = _index_or_rate(text)
    if not by_chance:
        return value
    from benchkit.ops.outliers import null_cutoff

    return null_cutoff(classes, value, rule)


def _index_or_rate(text: str) -> tuple[bool, float]:
    word, colon, number = text.partition(":")
    value = _number(number if colon else word)
    if (word == "null" and FINEST <= value < 1) if colon else 0 < value < math.inf:
        return bool(colon), value
    raise SpecError(
        f"cutoff must be an index above 0 (such as 2) or null:X with X from {FINEST} and under 1 (such as null:0.05), "
        f"got '{text}'"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


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


def index_fault(text: str) -> str | None:
    """Return why a text is no cutoff of outliers among classes, or None."""
    try:
        _index_or_rate(text)
    except SpecError as error:
        return str(error)
    return None
