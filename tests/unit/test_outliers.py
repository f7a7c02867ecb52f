"""Outliers among K numbers: known answers, other definitions of the same, and how far the largest lies by chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from benchkit.ops.outliers import (
    double_mad_index,
    false_alarms,
    mad,
    mad_index,
    medcouple,
    median,
    null_cutoff,
)

RNG = torch.Generator().manual_seed(5)
SAMPLES = [torch.randn(count, generator=RNG, dtype=torch.float64).exp() for count in (1, 2, 3, 4, 9, 10, 57)]


@pytest.mark.parametrize("values", SAMPLES, ids=len)
def test_median_and_mad_are_those_of_scipy(values: Tensor) -> None:
    assert float(median(values)) == float(values.quantile(0.5))
    assert float(mad(values)) == pytest.approx(1.4826 * stats.median_abs_deviation(values.numpy()), rel=1e-12)


def test_a_batch_is_many_samples_along_any_axis() -> None:
    many = torch.randn(3, 5, 10, generator=RNG)
    for compute in (median, mad):
        one_by_one = torch.stack([torch.stack([compute(row) for row in block]) for block in many])
        assert compute(many).equal(one_by_one)
        assert compute(many.movedim(-1, 0), dim=0).equal(one_by_one)
    for index in (mad_index, double_mad_index):
        assert index(many).equal(torch.stack([torch.stack([index(row) for row in block]) for block in many]))
    assert medcouple(many).equal(torch.stack([torch.stack([medcouple(row) for row in block]) for block in many]))


def test_an_index_is_a_distance_to_the_median() -> None:
    values = torch.tensor([1.0, 8.0, 10.0, 12.0, 14.0])
    assert mad_index(values, "low")[0] == pytest.approx(9 / (1.4826 * 2))
    assert mad_index(values).equal(-mad_index(values, "low"))


def test_each_half_has_a_deviation_of_its_own() -> None:
    values = torch.tensor([10, 10.5, 9.5, 10.2, 9.8, 1.0])
    index = double_mad_index(values, "low")
    assert index[5] == pytest.approx(8.9 / (1.4826 * 0.4), rel=1e-5)  # below 9.9: 0.1, 0.4 and 8.9
    assert index[1] == pytest.approx(-0.6 / (1.4826 * 0.3), rel=1e-5)  # above it: 0.1, 0.3 and 0.6
    assert index.argmax() == 5
    even = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
    assert double_mad_index(even).equal(mad_index(even))


@pytest.mark.parametrize("index", [mad_index, double_mad_index])
def test_equal_numbers_have_no_outlier(index: Callable[..., Tensor]) -> None:
    assert index(torch.full((6,), 0.3)).equal(torch.zeros(6))
    assert index(torch.tensor([1.0, 1.0, 1.0, 2.0]), "high", 0.5)[3] == 2


def brute_medcouple(values: list[float]) -> float:
    """The definition, with loops: pairs around the median, and signs for those that are both equal to it."""
    ordered, middle = sorted(values), float(np.median(values))
    upper, lower = [x for x in ordered if x >= middle], [x for x in ordered if x <= middle]
    ties = sum(x == middle for x in ordered)
    found = []
    for (i, b), (j, a) in product(enumerate(upper), enumerate(lower)):
        if a == b:
            found.append(float(np.sign((i + 1) + (j - (len(lower) - ties) + 1) - 1 - ties)))
        else:
            found.append(((b - middle) - (middle - a)) / (b - a))
    return float(np.median(found))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 25])
@pytest.mark.parametrize("ties", [False, True])
def test_medcouple_is_its_definition(count: int, ties: bool) -> None:
    rows = torch.randn(20, count, generator=torch.Generator().manual_seed(count), dtype=torch.float64).exp()
    rows = rows.mul(2).round() if ties else rows
    assert medcouple(rows).tolist() == pytest.approx([brute_medcouple(row) for row in rows.tolist()], abs=1e-12)


def test_medcouple_of_known_samples() -> None:
    assert float(medcouple(torch.tensor([1.0, 2.0, 7.0, 9.0, 10.0]))) == pytest.approx(-1 / 3)
    assert float(medcouple(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))) == 0
    skewed = torch.randn(401, generator=RNG).exp()
    assert 0.2 < medcouple(skewed) == pytest.approx(-float(medcouple(-skewed)), abs=1e-6)
    assert medcouple(3 * skewed + 7) == pytest.approx(float(medcouple(skewed)), abs=1e-4)


def test_of_three_classes_the_rate_is_known_in_closed_form() -> None:
    """The direction of three normal numbers' gaps is uniform over 60 degrees, so that their ratio has an arctangent."""
    for cutoff in (1.0, 2.0, 5.0):
        ratio = 1.4826 * cutoff
        exact = 0.5 - math.degrees(math.atan((ratio - 1) / (math.sqrt(3) * (ratio + 1)))) / 60
        assert false_alarms(3, cutoff) == pytest.approx(exact, abs=0.006)


@pytest.mark.parametrize(("classes", "rate"), [(4, 0.21), (10, 0.33), (43, 0.64)])
def test_the_papers_cutoff_is_no_five_percent_level(classes: int, rate: float) -> None:
    assert false_alarms(classes, 2) == pytest.approx(rate, abs=0.01)
    drawn = np.random.default_rng(7).normal(size=(20_000, classes))
    gaps = drawn - np.median(drawn, axis=1, keepdims=True)
    index = gaps.max(axis=1) / (1.4826 * np.median(np.abs(gaps), axis=1))
    assert false_alarms(classes, 2) == pytest.approx((index > 2).mean(), abs=0.015)
    assert null_cutoff(classes, 0.05) == pytest.approx(np.quantile(index, 0.95), rel=0.05)


def test_with_many_classes_the_rate_is_that_of_known_mean_and_deviation() -> None:
    assert false_alarms(300, 3) == pytest.approx(1 - stats.norm.cdf(3) ** 300, abs=0.03)


def test_a_chosen_rate_is_kept() -> None:
    for rate in (0.01, 0.05, 0.5):
        assert false_alarms(10, null_cutoff(10, rate)) == pytest.approx(rate, abs=1e-4)
    assert null_cutoff(10, 0.05, double_mad_index) == pytest.approx(4.7, abs=0.15)
    assert false_alarms(4, 2, double_mad_index) == 0  # the largest of two gaps is at most twice their mean


def test_there_is_no_outlier_among_two() -> None:
    with pytest.raises(ValueError, match="3 or more"):
        false_alarms(2, 2.0)
    for rate in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="above 0 and under 1"):
            null_cutoff(10, rate)
