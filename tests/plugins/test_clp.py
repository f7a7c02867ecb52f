"""Channel-Lipschitz pruning on planted channels: what is paired, bounded and pruned."""

from __future__ import annotations

import math

import pytest
import torch
from benchkit_plugins.defenses.clp import ChannelLipschitzPruning, lipschitz_bounds, normalised_convolutions
from torch import Tensor, nn

import benchkit
from benchkit.models.classifier import Classifier
from benchkit.models.networks import NETS

SHAPE = (3, 16, 16)
CHANNELS, PLANTED = 16, 5


class Planted(nn.Module):
    """Two blocks of convolution, normalisation and ReLU; one channel of the second answers to a bright corner alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        norm = nn.BatchNorm2d(CHANNELS)
        self.second = nn.Sequential(nn.Conv2d(8, CHANNELS, 3, padding=1), nn.MaxPool2d(2), norm)
        self.head = nn.Linear(CHANNELS, 4)
        with torch.no_grad():
            norm.weight[PLANTED] = 10

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(x)).relu().mean((2, 3)))
        return logits


def victim(net: nn.Module) -> Classifier:
    return Classifier(net, torch.full((3,), 0.5), torch.full((3,), 0.25))


def scene(model: Classifier) -> benchkit.Scene:
    none = benchkit.Split(torch.zeros(0, *SHAPE, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    return benchkit.Scene(4, SHAPE, torch.device("cpu"), none, torch.Generator(), granted=model)


def norms(model: Classifier) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.net.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_the_planted_channel_alone_is_pruned() -> None:
    first, second = norms(ChannelLipschitzPruning().repair(scene(victim(Planted()))))
    assert (second.weight == 0).nonzero().flatten().tolist() == [PLANTED]
    assert second.bias[PLANTED] == 0
    assert (first.weight == 1).all()


def test_an_infinite_margin_changes_nothing() -> None:
    before = victim(Planted())
    after = ChannelLipschitzPruning(u=1e9).repair(scene(before.copy()))
    images = torch.randint(256, (5, *SHAPE), dtype=torch.uint8)
    assert after.logits(images).equal(before.logits(images))


def test_the_bound_is_the_largest_stretch_of_a_filter_and_scales_with_its_gamma() -> None:
    conv, norm = nn.Conv2d(2, 3, (1, 2), bias=False), nn.BatchNorm2d(3, eps=0)
    with torch.no_grad():
        conv.weight[0, :, 0] = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        norm.weight[0] = -2
        norm.load_state_dict({**norm.state_dict(), "running_var": torch.full((3,), 4.0)})
    before = lipschitz_bounds(conv, norm)
    assert before[0] == pytest.approx(4 * 2 / math.sqrt(4))
    with torch.no_grad():
        norm.weight[1] *= 10
    assert lipschitz_bounds(conv, norm).div(before).tolist() == pytest.approx([1, 10, 1])


@pytest.mark.parametrize(("name", "pairs"), [("narrownet", 6), ("preactresnet18", 9)])
def test_normalisations_have_the_convolution_whose_output_they_read(name: str, pairs: int) -> None:
    """In a pre-activation network: the stem's, and that inside each of the eight blocks; others read sums."""
    model = victim(NETS[name](4, SHAPE))
    found = normalised_convolutions(model, SHAPE)
    assert len(found) == pairs
    assert all(conv.out_channels == norm.num_features for conv, norm in found)
    blocks = [block for block in model.net.modules() if hasattr(block, "bn2")]
    assert all((block.conv1, block.bn2) in found for block in blocks)


def test_a_network_without_normalisation_is_refused() -> None:
    model = victim(NETS["mntd_cnn"](4, SHAPE))
    with pytest.raises(benchkit.ContractError, match="clp needs batch normalisation behind convolutions"):
        ChannelLipschitzPruning().repair(scene(model))
