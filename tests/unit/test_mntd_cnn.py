"""The networks of Meta Neural Analysis, as the paper's code has them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchkit.models.create import create


def test_mntd_cnn_is_the_papers_network() -> None:
    net = create("mntd_cnn", 10, (3, 32, 32), "cpu")
    kinds = [type(layer) for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Dropout)]
    assert kinds == [*[nn.Conv2d] * 4, nn.Linear, nn.Linear, nn.Dropout, nn.Linear]
    expected = (896, 9_248, 18_496, 36_928, 4096 * 256 + 256, 256 * 256 + 256, 2_570)
    assert sum(weight.numel() for weight in net.parameters()) == sum(expected)


def test_mntd_cnn_of_grey_images() -> None:
    net = create("mntd_cnn", 10, (1, 28, 28), "cpu")
    assert [tuple(weight.shape) for weight in net.parameters() if weight.dim() > 1] == [
        *((16, 1, 5, 5), (32, 16, 5, 5)),
        *((512, 512), (10, 512)),
    ]


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (1, 17, 16), (3, 48, 64), (4, 9, 13)])
def test_mntd_cnn_takes_images_of_other_sizes(shape: tuple[int, int, int]) -> None:
    assert create("mntd_cnn", 7, shape, "cpu")(torch.zeros(2, *shape)).shape == (2, 7)
