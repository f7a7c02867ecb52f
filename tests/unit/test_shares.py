"""How many a share of so many is: never one short for want of a float's last bit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benchkit


@pytest.mark.parametrize(("share", "count", "whole"), [(0.29, 100, 29), (0.57, 100, 57), (1 / 3, 96, 32), (1, 7, 7)])
def test_floats_a_little_below_a_whole_number_are_that_number(share: float, count: int, whole: int) -> None:
    assert benchkit.share_of(share, count) == whole


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_every_share_of_few_decimals_is_exact(decimals: int) -> None:
    parts = 10**decimals
    for count in (1, 7, 95, 100, 128, 950, 1000, 47500, 50000, 1_281_167):
        assert [benchkit.share_of(part / parts, count) for part in range(parts + 1)] == [
            part * count // parts for part in range(parts + 1)
        ]


@settings(deadline=None, max_examples=500)
@given(part=st.integers(0, 10**6), count=st.integers(0, 10**9))
def test_shares_of_six_decimals_are_exact(part: int, count: int) -> None:
    assert benchkit.share_of(part / 10**6, count) == Fraction(part, 10**6) * count // 1


@settings(deadline=None, max_examples=500)
@given(below=st.integers(1, 10**5), data=st.data(), count=st.integers(0, 10**7))
def test_fractions_are_exact(below: int, data: st.DataObject, count: int) -> None:
    above = data.draw(st.integers(0, below))
    assert benchkit.share_of(above / below, count) == above * count // below


def test_rounding_is_down() -> None:
    assert [benchkit.share_of(0.1, count) for count in range(8, 13)] == [0, 0, 1, 1, 1]
