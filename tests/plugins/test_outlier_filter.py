"""Outliers of each class: how often clean rows pass, whatever the model has learned of the trusted ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from benchkit_plugins.defenses.outliers import Outliers, parts_of
from torch import Tensor

import benchkit

SHAPE = (3, 8, 8)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(labels: Tensor, seed: int) -> benchkit.Split:
    """Return noise around a picture of each class, uint8 (N, 3, 8, 8)."""
    centres = torch.randn(int(labels.max()) + 1, *SHAPE, generator=seeded(99))
    drawn = torch.randn(len(labels), *SHAPE, generator=seeded(seed))
    return benchkit.Split((128 + 25 * (0.3 * centres[labels] + drawn)).clamp(0, 255).to(torch.uint8), labels)


class ByHeart:
    """A trainer whose models know the labels of all images that they were given, and little of others."""

    def fit(self, data: benchkit.Split, how: Any = None, *, rng: torch.Generator) -> Any:
        known = data.images.flatten(1).double() - 128
        answers = torch.linalg.pinv(known) @ F.one_hot(data.labels).double()
        return SimpleNamespace(features=lambda images: (images.flatten(1).double() - 128) @ answers)


def scene(trusted: benchkit.Split) -> benchkit.Scene:
    classes = int(trusted.labels.max()) + 1
    trainer: Any = ByHeart()
    return benchkit.Scene(classes, SHAPE, torch.device("cpu"), trusted, seeded(7), trainer=trainer)


def found(defense: Outliers, trusted: benchkit.Split, rows: benchkit.Split) -> Any:
    return defense.suspicion(rows, scene(trusted)).score


@pytest.mark.parametrize("space", ["features", "pixels"])
@pytest.mark.parametrize("alpha", [0.95, 0.99])
def test_clean_rows_pass_as_often_as_was_asked_even_if_the_model_knows_the_trusted_ones_by_heart(
    space: str, alpha: float
) -> None:
    trusted = images_of(torch.arange(5).repeat(24), 1)
    rows = images_of(torch.arange(5).repeat(400), 2)
    flagged = found(Outliers(alpha=alpha, space=space), trusted, rows) > 0
    assert float(flagged.float().mean()) <= 1 - alpha + 0.02


def test_classes_of_three_trusted_rows_are_judged_almost_as_often_right() -> None:
    trusted = images_of(torch.arange(40).repeat(3), 3)
    rows = images_of(torch.arange(40).repeat(50), 4)
    assert float((found(Outliers(space="pixels"), trusted, rows) > 0).float().mean()) <= 0.05


@pytest.mark.parametrize("alpha", [0.95, 0.99])
def test_of_many_trusted_rows_the_share_is_that_asked_for(alpha: float) -> None:
    """Distances in one space, not the mean of three, which varies less than a single one."""
    judge = Outliers(alpha=alpha)
    drawn, of = torch.randn(6400, 4, generator=seeded(5)), torch.arange(2).repeat(3200)
    known, own, new = drawn[:400], drawn[400:800], drawn[800:]
    near, far = (judge.distances(known, of[:400], rows, of[: len(rows)]) for rows in (own, new))
    flagged = judge.scores(near, of[:400], far, of[: len(new)]) > 0
    assert float(flagged.float().mean()) == pytest.approx(1 - alpha, abs=0.02)


def test_far_rows_are_dropped_and_the_order_does_not_matter() -> None:
    trusted, rows = images_of(torch.arange(2).repeat(60), 6), images_of(torch.arange(2).repeat(20), 7)
    moved = benchkit.Split(rows.images.clone(), rows.labels)
    moved.images[:10] = 255 - moved.images[:10] // 8
    judged = found(Outliers(space="pixels"), trusted, moved)
    assert bool((judged[:10] > 0).all())
    order = torch.randperm(40, generator=seeded(0))
    torch.testing.assert_close(found(Outliers(space="pixels"), trusted, moved[order]), judged[order])


def test_a_label_with_fewer_than_three_trusted_rows_loses_nothing_and_is_counted() -> None:
    trusted = images_of(torch.tensor([0] * 120 + [1, 1]), 8)
    rows = images_of(torch.arange(3).repeat(10), 9)
    verdict = Outliers(space="pixels").suspicion(rows, scene(trusted))
    assert verdict.metrics == {"unjudged": 2}
    assert bool((verdict.score[rows.labels > 0] == -1).all())
    assert bool((verdict.score[rows.labels == 0] > -1).all())


@pytest.mark.parametrize("trusted", [[0, 1, 2], [0, 0, 1, 1], [*range(1, 60), 0, 0, 0]])
def test_hardly_any_trusted_rows_drop_nothing(trusted: list[int]) -> None:
    rows = images_of(torch.arange(3).repeat(10), 9)
    for alpha in (0.99, 0.5):
        judged = found(Outliers(space="pixels", alpha=alpha), images_of(torch.tensor(trusted), 8), rows)
        assert bool(judged.isfinite().all())
        assert bool((judged[rows.labels > 0] == -1).all())


def test_equal_trusted_rows_make_no_number_that_is_none() -> None:
    trusted = benchkit.Split(torch.full((120, *SHAPE), 90, dtype=torch.uint8), torch.zeros(120, dtype=torch.int64))
    assert bool(found(Outliers(space="pixels"), trusted, trusted[torch.arange(9)]).isfinite().all())


def test_each_part_has_its_share_of_each_label() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3 + [2] * 4)
    part = parts_of(labels, seeded(1))
    counts = [[int(((part == number) & (labels == label)).sum()) for number in range(3)] for label in range(3)]
    assert counts == [[3, 3, 3], [1, 1, 1], [2, 1, 1]]
