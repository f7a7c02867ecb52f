"""Outliers among K numbers: robust indexes, and how far the largest index lies by chance alone.

A model detector that has one number per class flags a model when one class is an outlier. The usual cutoff, 2 scaled
median absolute deviations, is no 5 % level: it looks at the largest of K indexes, and both the median and the
deviation are estimated from the same K numbers. :func:`false_alarms` gives the rate, :func:`null_cutoff` a cutoff with
a chosen rate.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

SCALE = 1.4826
"""The standard deviation of a normal distribution, in median absolute deviations."""
LEAST = 1e-9
"""The smallest deviation that an index divides by, so that equal numbers have an index of 0."""
DRAWS, FEWEST_DRAWS, VALUES = 100_000, 10_000, 5_000_000
"""Sets of K normal numbers that are drawn for a null distribution, at most and at least, and their total in between."""
CHUNK = 2_000_000
"""Numbers that are drawn at a time."""
FEWEST = 3
"""Numbers among which there can be an outlier: of two, both are equally far from the median."""

Side = Literal["high", "low"]
Rule = Callable[[Tensor], Tensor]
"""``rule(values)``: (..., K) -> an index for each value, (..., K), higher = further out."""


def median(values: Tensor, dim: int = -1) -> Tensor:
    """Return the median along an axis, without that axis; of an even number, the mean of the middle two.

    ``torch.median`` returns the lower of these two, and ``torch.quantile`` takes at most 16 million values.

    Args:
        values: floating point, at least one value along ``dim``.
        dim: the axis.
    """
    ordered = values.sort(dim).values
    count = values.shape[dim]
    return ordered.select(dim, (count - 1) // 2).lerp(ordered.select(dim, count // 2), 0.5)


def mad(values: Tensor, dim: int = -1) -> Tensor:
    """Return 1.4826 times the median absolute deviation from the median along an axis, without that axis.

    It estimates the standard deviation of normal values (Hampel, JASA 1974) even if half of them are outliers.

    Args:
        values: floating point, at least one value along ``dim``.
        dim: the axis.
    """
    return SCALE * median((values - median(values, dim).unsqueeze(dim)).abs(), dim)


def mad_index(values: Tensor, side: Side = "high", floor: float = LEAST) -> Tensor:
    """Return how many scaled median absolute deviations each value lies above the median, in the shape of ``values``.

    The largest is the anomaly index of Neural Cleanse (Wang et al., IEEE S&P 2019, Section 4), for ``side="low"``.

    Args:
        values: floating point (..., K).
        side: ``low`` counts how far each value lies below the median instead.
        floor: the least deviation that it divides by.
    """
    return _beyond(values, side) / mad(values).clamp(min=floor).unsqueeze(-1)


def double_mad_index(values: Tensor, side: Side = "high", floor: float = LEAST) -> Tensor:
    """Return ``mad_index`` with one deviation for each half: those of values above, and below, the median.

    Skewed values need it (DeepInspect: Chen et al., IJCAI 2019). Values equal to the median count in both halves. With
    4 values the largest index cannot exceed 2 / 1.4826.

    Args:
        values: floating point (..., K).
        side: ``low`` counts how far each value lies below the median instead.
        floor: the least deviation that it divides by.
    """
    gaps = _beyond(values, side)
    upper, lower = (_median_of(gaps.abs(), half).mul(SCALE).clamp(min=floor) for half in (gaps >= 0, gaps <= 0))
    return gaps / torch.where(gaps >= 0, upper.unsqueeze(-1), lower.unsqueeze(-1))


def _beyond(values: Tensor, side: Side) -> Tensor:
    middle = median(values).unsqueeze(-1)
    return values - middle if side == "high" else middle - values


def _median_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the median of the chosen values along the last axis; ``chosen`` is bool, with one or more in each row."""
    ordered = values.masked_fill(~chosen, torch.inf).sort(-1).values
    count = chosen.sum(-1, keepdim=True)
    low, high = (ordered.gather(-1, at) for at in ((count - 1) // 2, count // 2))
    return low.lerp(high, 0.5).squeeze(-1)


def medcouple(values: Tensor) -> Tensor:
    """Return the medcouple along the last axis, a robust skewness in [-1, 1]: (..., n) -> (...).

    Brys, Hubert, Struyf (JCGS 2004), Section 2: the median of ((b - m) - (m - a)) / (b - a) over all pairs a <= m <= b
    around the median m, and of signs for pairs of values equal to m. All n^2 pairs are computed.

    Args:
        values: floating point (..., n), n >= 1.
    """
    gaps = values.sort(-1).values
    gaps = gaps - median(gaps).unsqueeze(-1)
    upper, lower = gaps.unsqueeze(-1), gaps.unsqueeze(-2)
    both = (upper == 0) & (lower == 0)
    skew = torch.where(both, _tied(gaps), (upper + lower) / (upper - lower).masked_fill(both, 1))
    return _median_of(skew.flatten(-2), ((upper >= 0) & (lower <= 0)).flatten(-2))


def _tied(gaps: Tensor) -> Tensor:
    """Return the signs for pairs of sorted values that equal the median: -1, 0, 1 below, on, above the antidiagonal."""
    zero = (gaps == 0).to(gaps)
    place = (zero.cumsum(-1) - 1) * zero
    total = zero.sum(-1)[..., None, None]
    return (place.unsqueeze(-1) + place.unsqueeze(-2) - (total - 1)).sign()


def false_alarms(classes: int, cutoff: float, rule: Rule = mad_index) -> float:
    """Return the probability that the largest index of ``classes`` independent normal numbers exceeds ``cutoff``.

    Args:
        classes: how many numbers, >= 3.
        cutoff: an index.
        rule: the index: :func:`mad_index`, :func:`double_mad_index` or another function of float64 (N, K), which must
            not depend on the numbers' mean and standard deviation.

    Raises:
        ValueError: if there are fewer than 3 classes.
    """
    return float((_largest(classes, rule) > cutoff).double().mean())


def null_cutoff(classes: int, fpr: float, rule: Rule = mad_index) -> float:
    """Return the index that the largest of ``classes`` independent normal numbers exceeds with probability ``fpr``.

    For 10 classes and 0.05 it is 3.9 with ``mad_index``. The standard error of a rate of 0.05 is 0.0007 for up to 50
    classes, and 0.002 for 500 or more.

    Args:
        classes: how many numbers, >= 3.
        fpr: above 0 and under 1; 0.001 rests on 100 draws (on 10 for 500 classes or more).
        rule: as in :func:`false_alarms`.

    Raises:
        ValueError: if there are fewer than 3 classes, or ``fpr`` is out of range.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be above 0 and under 1, got {fpr}")
    return float(_largest(classes, rule).quantile(1 - fpr))


@functools.lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # cached: a tensor created in inference mode would forbid gradients later
def _largest(classes: int, rule: Rule) -> Tensor:
    """Return the largest indexes in many sets of normal numbers, float64 (DRAWS,), the same in every process."""
    if classes < FEWEST:
        raise ValueError(f"there is no outlier among {classes} numbers: {FEWEST} or more are needed")
    rng = torch.Generator().manual_seed(0)
    draws = max(FEWEST_DRAWS, min(DRAWS, VALUES // classes))
    step = max(1, CHUNK // classes)
    sizes = [min(step, draws - start) for start in range(0, draws, step)]
    drawn = (torch.randn(size, classes, generator=rng, dtype=torch.float64) for size in sizes)
    return torch.cat([rule(some).amax(-1) for some in drawn])
