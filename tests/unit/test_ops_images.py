"""Haar wavelets, projected gradient descent and class-wise statistics: known answers and properties."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from benchkit.ops.classwise import class_deviations, class_mads, class_medians
from benchkit.ops.pgd import Norm, pgd
from benchkit.ops.wavelets import Bands, haar2, ihaar2


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_haar_of_one_block() -> None:
    bands = haar2(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert [float(one) for one in bands] == [5.5, -2.5, -1.5, 0.5]


def test_haar_is_an_orthogonal_matrix_and_comes_back() -> None:
    basis = torch.eye(24).view(24, 4, 6)
    rows = torch.cat([band.flatten(1) for band in haar2(basis)], 1)
    assert torch.allclose(rows @ rows.T, torch.eye(24), atol=1e-6)
    images = torch.randint(0, 256, (5, 3, 8, 12), generator=seeded(0)).byte()
    assert ihaar2(haar2(images)).equal(images.float())  # sums of whole numbers, halved and halved again
    noise = torch.randn(2, 3, 4, 6, generator=seeded(1))
    assert torch.allclose(ihaar2(haar2(noise)), noise, atol=1e-6)


def test_each_haar_band_changes_alone() -> None:
    images = torch.rand(2, 3, 8, 8, generator=seeded(0))
    bands = haar2(images)
    moved = haar2(ihaar2(bands._replace(hh=bands.hh + 0.1)))
    assert torch.allclose(moved.hh, bands.hh + 0.1, atol=1e-6)
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(moved[:3], bands[:3], strict=True))
    stripes = torch.zeros(8, 8)
    stripes[:, ::2] = 1  # vertical stripes are differences between columns
    assert [float(one.abs().max()) for one in haar2(stripes)] == [1, 0, 1, 0]
    assert isinstance(bands, Bands)


def test_haar_refuses_odd_sides_and_passes_gradients_on() -> None:
    with pytest.raises(ValueError, match="even sides, got 8 x 7"):
        haar2(torch.zeros(8, 7))
    assert torch.autograd.gradcheck(lambda x: ihaar2(haar2(x)), torch.rand(1, 4, 6).double().requires_grad_())


def linear_loss(x: Tensor) -> Tensor:
    """A loss whose highest point in a ball is known: the sum of the pixels, each with its weight."""
    weights = torch.linspace(-1, 1, x[0].numel()).view(x.shape[1:])
    return (x * weights).flatten(1).sum(1)


def test_pgd_reaches_the_known_best_of_a_linear_loss() -> None:
    clean = torch.rand(6, 3, 8, 8, generator=seeded(0)) * 0.4 + 0.3
    weights = torch.linspace(-1, 1, 192).view(3, 8, 8)
    found = pgd(clean, linear_loss, bound=0.1)
    assert torch.allclose(found, clean + 0.1 * weights.sign(), atol=1e-6)
    found = pgd(clean, linear_loss, bound=0.5, norm="l2")
    assert torch.allclose(found, clean + 0.5 * weights / weights.norm(), atol=1e-5)


@pytest.mark.parametrize(("norm", "bound"), [("linf", 16 / 255), ("l2", 1.5)])
def test_pgd_stays_in_the_ball_and_among_images_and_fools_a_model(norm: Norm, bound: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).requires_grad_()
    images = torch.randint(0, 256, (40, 3, 8, 8), generator=seeded(2)).byte()
    labels = model(images / 255).argmax(1)

    def loss(x: Tensor) -> Tensor:
        return F.cross_entropy(model(x), labels, reduction="none")

    for rng in (None, seeded(3)):
        found = pgd(images, loss, bound=bound, norm=norm, steps=20, rng=rng)
        moved = (found - images / 255).flatten(1)
        assert moved.norm(dim=1, p=math.inf if norm == "linf" else 2).max() <= bound + 1e-5
        assert found.min() >= 0
        assert found.max() <= 1
        assert float((model(found).argmax(1) == labels).float().mean()) < 0.2
    assert all(weight.grad is None for weight in model.parameters())

    def first_alone(x: Tensor) -> Tensor:
        return F.cross_entropy(model(x), labels[:1], reduction="none")

    alone = pgd(images[:1], first_alone, bound=bound, norm=norm)
    assert torch.allclose(alone, pgd(images, loss, bound=bound, norm=norm)[:1], atol=1e-4)


def test_pgd_without_a_gradient_or_a_ball_returns_the_images() -> None:
    images = torch.rand(3, 1, 8, 8, generator=seeded(0))
    assert pgd(images, lambda x: (x * 0).flatten(1).sum(1), bound=0.3, norm="l2").equal(images)
    assert torch.allclose(pgd(images, linear_loss, bound=0.0, rng=seeded(1)), images, atol=1e-6)
    with pytest.raises(ValueError, match="0 or more"):
        pgd(images, linear_loss, bound=-0.1)


def test_a_random_start_fills_the_ball() -> None:
    grey = torch.full((4000, 1, 1, 2), 0.5)
    norms: tuple[Norm, ...] = ("linf", "l2")
    for norm in norms:
        moved = pgd(grey, linear_loss, bound=0.2, norm=norm, steps=0, rng=seeded(0)) - grey
        order = math.inf if norm == "linf" else 2
        inner = moved.flatten(1).norm(dim=1, p=order) < 0.1
        assert float(inner.float().mean()) == pytest.approx(0.25, abs=0.03)  # half the radius


def test_class_statistics_are_those_of_scipy() -> None:
    features = torch.randn(200, 5, generator=seeded(0), dtype=torch.float64)
    labels = torch.randint(0, 3, (200,), generator=seeded(1))
    centres, spreads = class_medians(features, labels, 4), class_mads(features, labels, 4)
    assert centres.shape == spreads.shape == (4, 5)
    for one in range(3):
        rows = features[labels == one]
        assert torch.allclose(centres[one], rows.quantile(0.5, dim=0))
        expected = torch.from_numpy(1.4826 * stats.median_abs_deviation(rows.numpy(), axis=0))
        assert torch.allclose(spreads[one], expected)
    assert centres[3].isnan().all()
    assert spreads[3].isnan().all()


def test_deviations_are_counted_from_the_rows_own_class() -> None:
    centres, spreads = torch.tensor([[0.0, 5.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.5, 1.0]])
    features, labels = torch.tensor([[4.0, 9.0], [2.0, -1.0]]), torch.tensor([0, 1])
    assert class_deviations(features, labels, centres, spreads).tolist() == [[2.0, 0.0], [2.0, -2.0]]
