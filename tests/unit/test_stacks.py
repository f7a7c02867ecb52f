"""What stacked training rests on: matrices of a stack, the memory a model takes, and which networks can be stacked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchkit.models.classifier import Classifier
from benchkit.training.muon import orthogonalised
from benchkit.training.stack import footprint, mappable


def plain() -> nn.Sequential:
    """Return two convolutions without normalisation."""
    first, second = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, stride=2)
    pooled = (nn.AvgPool2d(4), nn.Flatten())
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pooled, nn.Linear(8, 3))


def images(count: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 200, (count, 3, 8, 8), generator=rng, dtype=torch.uint8)


def test_matrices_of_a_stack_are_orthogonalised_each_on_its_own() -> None:
    drawn = torch.randn(3, 8, 40, generator=torch.Generator().manual_seed(100))
    stack = drawn * torch.tensor([1.0, 1e-3, 1e3])[:, None, None]
    for matrices in (stack, stack.mT):
        values = torch.linalg.svdvals(orthogonalised(matrices, 5))
        assert 0.5 < float(values.min()) <= float(values.max()) < 1.4
        for one, made in zip(matrices, orthogonalised(matrices, 5), strict=True):
            torch.testing.assert_close(made, orthogonalised(one, 5), atol=0.02, rtol=0)


def test_the_estimate_of_memory_counts_weights_and_what_the_forward_pass_keeps() -> None:
    model = Classifier(plain(), torch.full((3,), 0.5), torch.full((3,), 0.2))
    small, large = footprint(model, images(8)), footprint(model, images(64))
    weights = sum(weight.nbytes for weight in model.parameters())
    activations = 8 * 4 * (3 * 64 + 8 * 64 + 8 * 16)  # float32: the inputs of both convolutions, the second's output
    assert small > 8 * weights + activations / 2  # convolutions may run in bfloat16
    assert (large - 8 * weights) / (small - 8 * weights) == pytest.approx(8, rel=0.1)
    assert not model.training


class Choosy(nn.Module):
    """A network whose way depends on its input's values."""

    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x if float(x.sum()) > 0 else -x)
        return out


def test_networks_that_vmap_cannot_run_are_recognised() -> None:
    mean, std = torch.full((3,), 0.5), torch.full((3,), 0.2)
    assert mappable(Classifier(plain(), mean, std), images(2))
    assert not mappable(Classifier(Choosy(), mean, std), images(2))
