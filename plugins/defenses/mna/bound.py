"""Where to draw the line after few scores, so that a further one crosses it as seldom as was asked."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def upper_bound(scores: Tensor, rate: float) -> float:
    """Return what one more score of the same kind exceeds with a probability of ``rate``.

    Of n scores the (n + 1)(1 - rate)-th smallest, interpolated, is that, whatever their distribution, but there is
    none unless n is 1 / rate - 1 or more: 19 for 5 %. Of fewer, the upper prediction bound of a normal distribution:
    mean + t s sqrt(1 + 1 / n), t the quantile of Student's distribution with n - 1 degrees of freedom. The plain
    quantile of three scores, which a quarter of further ones exceeds whatever is asked for, is neither.

    Args:
        scores: float (n,), two or more.
        rate: above 0 and under 1.
    """
    count, ordered = len(scores), scores.double().sort().values
    place = (count + 1) * (1 - rate) - 1  # counted from 0
    if 0 <= place <= count - 1:
        low = math.floor(place)
        return float(torch.lerp(ordered[low], ordered[min(low + 1, count - 1)], place - low))
    from scipy.special import stdtrit

    return float(ordered.mean() + stdtrit(count - 1, 1 - rate) * ordered.std() * math.sqrt(1 + 1 / count))
