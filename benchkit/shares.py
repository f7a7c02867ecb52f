"""How many images a share of a set is."""

from __future__ import annotations

import math


def share_of(share: float, count: int) -> int:
    """Return how many of ``count`` a share is, rounded down: 29 of 100 for 0.29.

    Floats cannot hold most decimals, and 0.29 * 100 is a little less than 29: ``int`` would make it 28. The result
    is exact for shares of up to six decimals, and for fractions such as 1 / 3, up to a count of 10^9.
    """
    return math.floor(round(share * count, 6))
