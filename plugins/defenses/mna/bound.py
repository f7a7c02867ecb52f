"""A threshold from few scores that a further score exceeds with the requested probability."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def upper_bound(scores: Tensor, rate: float) -> float:
    """Return the value that one more score of the same distribution exceeds with probability ``rate``.

    Of n scores, this is the (n + 1)(1 - rate)-th smallest, interpolated, for every distribution. It exists only if n is
    at least 1 / rate - 1: 19 for 5 %. With fewer scores, the result is the upper prediction bound of a normal
    distribution: mean + t s sqrt(1 + 1 / n), t the quantile of Student's distribution with n - 1 degrees of freedom. (A
    quarter of further scores exceeds the largest of three scores, whatever the rate.)

    Args:
        scores: float (n,), n at least 2.
        rate: above 0 and below 1.
    """
    count, ordered = len(scores), scores.double().sort().values
    place = (count + 1) * (1 - rate) - 1  # counted from 0
    if 0 <= place <= count - 1:
        low = math.floor(place)
        return float(torch.lerp(ordered[low], ordered[min(low + 1, count - 1)], place - low))
    from scipy.special import stdtrit

    return float(ordered.mean() + stdtrit(count - 1, 1 - rate) * ordered.std() * math.sqrt(1 + 1 / count))
