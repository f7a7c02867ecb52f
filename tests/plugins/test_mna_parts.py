"""Meta neural analysis, the parts that need no models: how many validate, and what is laid over queries."""

from __future__ import annotations

import pytest
import torch
from benchkit_plugins.defenses.mna import patched, validating


@pytest.mark.parametrize(
    ("count", "held"), [(4, 2), (8, 2), (16, 4), (24, 6), (64, 16), (80, 16), (144, 16), (180, 20), (2304, 256)]
)
def test_one_in_nine_validates_and_more_of_few(count: int, held: int) -> None:
    assert validating(count) == held


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
