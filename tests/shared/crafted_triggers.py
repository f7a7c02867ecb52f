"""A small untrained network, and the triggers that attacks optimise for it."""

from __future__ import annotations

import functools

import torch
from attack_scenes import RGB, Shape, noise, scene
from torch import Tensor, nn

import benchkit
from benchkit.models import classifier


class ReluNet(nn.Module):
    """An untrained network whose hidden layer is a ReLU that answers everything a little."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(5)
        body = (nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.body = nn.Sequential(*body)
        self.hidden = nn.Linear(128, 16)
        nn.init.constant_(self.hidden.bias, 1.0)
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.head(self.hidden(self.body(images)).relu())
        return answers


@functools.cache
def model(channels: int = 3) -> classifier.Classifier:
    return classifier.Classifier(ReluNet(channels), torch.full((channels,), 0.5), torch.full((channels,), 0.2))


def crafted(attack: benchkit.Attack, shape: Shape = RGB, *, seed: int = 0) -> dict[str, Tensor]:
    return dict(attack.prepare(scene(clean=noise(8, shape), seed=seed, granted=model(shape[0]))))


def stamped(attack: benchkit.Attack, images: Tensor, seed: int = 0) -> Tensor:
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    return attack.stamp(images, scene(shape, prepared=crafted(attack, shape, seed=seed)))


def answers(images: Tensor, channels: int = 3) -> Tensor:
    """Return the answers of the two heaviest neurons, float32 (N, 2)."""
    heavy = model(channels).head.weight.abs().sum(0).topk(2).indices
    return model(channels).features(images)[:, heavy]
