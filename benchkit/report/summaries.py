"""The summary of several seeds: their mean and its interval."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """The mean over seeds, half the width of its 95 % interval (None below three seeds), and their number."""

    mean: float
    ci95: float | None
    n: int


def summarize(values: Sequence[float]) -> Summary:
    """Average one value per seed; the interval is Student's t over seeds, and does not depend on their order.

    With so few seeds, the coverage of a bootstrap is far below its nominal level (about 70 % with three).
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n < 3:
        return Summary(mean, None, n)
    return Summary(mean, t_quantile(n - 1) * _stdev(values) / math.sqrt(n), n)


def _stdev(values: Sequence[float]) -> float:
    """Return the standard deviation of values in any order; ``statistics`` takes ten times as long.

    Values are measured from the least, so that equal ones have no spread; around a rounded mean it would be 1e-15.
    """
    least = min(values)
    above = [value - least for value in values]
    mean = math.fsum(above) / len(above)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in above) / (len(above) - 1))


@functools.cache
def t_quantile(df: int) -> float:
    """Return the 97.5 % quantile of Student's t with ``df`` >= 1 degrees of freedom, to about 1e-12."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _central(middle, df) < 0.95 else (low, middle)
    return math.tan(low) * math.sqrt(df)


def _central(angle: float, df: int) -> float:
    """P(|T| < tan(angle) * sqrt(df)), the finite sums of Abramowitz & Stegun 1964, 26.7.3 and 26.7.4."""
    cosine, odd = math.cos(angle), df % 2
    term = total = (cosine if df > 1 else 0.0) if odd else 1.0
    for step in range(2 + odd, df - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
