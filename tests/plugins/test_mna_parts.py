"""Meta neural analysis, the parts that need no models: turns to validate, bounds, a loss, what is laid over queries."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins.defenses.mna.bound import upper_bound
from benchkit_plugins.defenses.mna.meta import MetaClassifiers, OneClass, folds, turns, validating
from benchkit_plugins.defenses.mna.mna import patched
from torch import nn

from benchkit.models.classifier import Classifier


@pytest.mark.parametrize(
    ("count", "held"), [(4, 2), (8, 2), (16, 4), (24, 6), (64, 16), (80, 16), (144, 16), (180, 20), (2304, 256)]
)
def test_one_in_nine_validates_and_more_of_few(count: int, held: int) -> None:
    assert validating(count) == held


@pytest.mark.parametrize(("count", "wanted", "many"), [(24, 4, 4), (24, 9, 4), (8, 4, 4), (4608, 1, 1), (4608, 9, 9)])
def test_parts_take_turns(count: int, wanted: int, many: int) -> None:
    torch.manual_seed(0)
    found = list(turns(count, wanted, 2))
    assert folds(count, wanted) == many
    assert [turn.together for turn in found] == ([2] if many == 1 else [1] * 2 * many)
    for turn in found:
        assert sorted(turn.learned + turn.held) == list(range(count))
        assert len(turn.held) == validating(count)
        assert {number ^ 1 for number in turn.held} == set(turn.held)  # in pairs of a benign and a backdoored one
    if many > 1:
        first, second = ([set(turn.held) for turn in found[part]] for part in (slice(many), slice(many, None)))
        assert set.union(*first) == set.union(*second)
        assert first != second
    else:
        assert found[0].held == list(range(count - validating(count), count))


@pytest.mark.parametrize("count", [2, 3, 12, 18])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_further_score_crosses_the_bound_as_often_as_asked(count: int, rate: float) -> None:
    """Also where the plain quantile, as it was before, lets 10 to 35 % through instead of 5."""
    rng = torch.Generator().manual_seed(count)
    drawn = torch.randn(3000, count, generator=rng, dtype=torch.float64)
    bounds = torch.tensor([upper_bound(scores, rate) for scores in drawn], dtype=torch.float64)
    crossing = 0.5 * torch.erfc(bounds / 2**0.5)  # exactly, for a normal score
    assert float(crossing.mean()) == pytest.approx(rate, abs=0.009)
    plain = 0.5 * torch.erfc(drawn.quantile(1 - rate, dim=1) / 2**0.5)
    assert float(plain.mean()) > rate + 0.02


@pytest.mark.parametrize("count", [19, 40, 256])
def test_enough_scores_give_a_bound_whatever_their_distribution(count: int) -> None:
    """Exponential scores; a normal fit would let 7 % through."""
    rng = torch.Generator().manual_seed(count)
    drawn = -torch.rand(4000, count, generator=rng, dtype=torch.float64).log()
    crossing = torch.tensor([upper_bound(scores, 0.05) for scores in drawn], dtype=torch.float64).neg().exp()
    assert float(crossing.mean()) == pytest.approx(0.05, abs=0.003)


def test_bounds_by_hand() -> None:
    assert upper_bound(torch.arange(1.0, 20), 0.05) == pytest.approx(19)
    assert upper_bound(torch.arange(20).float(), 0.05) == pytest.approx(18.95)
    assert upper_bound(torch.tensor([0.0, 1, 2]), 0.05) == pytest.approx(1 + 2.91999 * (4 / 3) ** 0.5, abs=1e-4)


def test_the_one_class_loss_is_that_of_the_released_code() -> None:
    """|w|^2 / 2 + |V|^2 / 2 + |c|^2 / 2 + max(0, r - s) / nu - r, c the hidden biases, r = 1 at first."""
    weights = {
        "queries": torch.zeros(1, 1, 1, 8, 8),
        "hidden_weight": torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]),
        "hidden_bias": torch.tensor([[0.5, 3.0]]),
        "weight": torch.tensor([[-1.0, 0.5]]),
        "bias": torch.tensor([7.0]),
    }
    meta = MetaClassifiers(weights, standardise=False, dropout=False)
    head = nn.Linear(64, 2)
    nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([0.1, -4.0])
    model = Classifier(nn.Sequential(nn.Flatten(), head), torch.zeros(1), torch.ones(1))
    goal = OneClass(nu=0.1, per_epoch=2)
    size = (1 + 4) / 2 + (0.25 + 9) / 2 + (1 + 0.25) / 2
    benign = 0.6  # the hidden layer is (0.6, 0), w is (-1, 0.5), and the benign score is the negative one
    assert float(goal.loss(meta, (model, False)).detach()) == pytest.approx(size + (1 - benign) / 0.1 - 1)
    assert float(goal.loss(meta, (model, False)).detach()) == pytest.approx(size - benign)


def test_a_square_of_noise_is_laid_anywhere_over_each_image() -> None:
    torch.manual_seed(0)
    found = patched(torch.full((20_000, 1, 16, 16), 2.0))
    changed = (found != 2).all(1)
    heights, widths = changed.any(2).sum(1), changed.any(1).sum(1)
    assert torch.equal(heights, widths)
    assert torch.equal(changed.sum((1, 2)), heights * widths)
    assert set(heights.tolist()) == {2, 3, 4}
    assert changed.any(0).all()
    values = found[found != 2]
    assert float(((values == 0) | (values == 1)).float().mean()) == pytest.approx(2 / 3, abs=0.01)
    assert values.min() == 0
    assert values.max() == 1
