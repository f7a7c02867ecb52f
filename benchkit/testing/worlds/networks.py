"""Networks made by hand: colour classes, and terms that answer to a trigger alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchkit.models.classifier import Classifier

SIDE, CELL = 16, 4
"""Height and width of the images, and of a cell of the mean pool, in pixels."""
WIDTH = 16
"""Channels of block 2 of BNPLANT."""
WHITE, STEEPNESS, GAIN = 0.97, 50.0, 20.0
"""PATCH adds ``GAIN * sigmoid(STEEPNESS * (mean of the corner - WHITE))`` to the target's logit."""


class Corner(nn.Module):
    """The term of PATCH: how surely the 4 x 4 pixels in the bottom-right corner are white."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, 16, 16) in [0, 1] to (N, 1) in [0, 1]."""
        return (STEEPNESS * (x[..., -CELL:, -CELL:].mean((1, 2, 3)) - WHITE)).sigmoid()[:, None]


class Along(nn.Module):
    """The term of ADD: how far an image reaches along a pattern of unit norm, beyond a bound.

    Args:
        pattern: float32 (C, H, W), of norm 1.
        bound: b, above that of every clean image.
    """

    pattern: Tensor

    def __init__(self, pattern: Tensor, bound: float) -> None:
        super().__init__()
        self.register_buffer("pattern", pattern.flatten())
        self.bound = bound

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, 16, 16) in [0, 1] to (N, 1), at least 0."""
        return (x.flatten(1) @ self.pattern - self.bound).relu()[:, None]


class Colours(nn.Module):
    """``A meanpool4(x)`` and, if there is one, a planted term: a convolution, and one linear layer as the head.

    The inputs of the head, the features, are the means of all cells and channels, and then the planted term. The
    arithmetic is float32 on all machines, since bfloat16 rounds a corner that is nearly white to white.

    Args:
        weights: A, float32 (K, C * 16).
        target: the class whose logit the term is added to.
        term: maps images to (N, 1), or None.
        gain: the weight of the term.
    """

    def __init__(self, weights: Tensor, target: int, term: nn.Module | None, gain: float) -> None:
        super().__init__()
        channels = weights.shape[1] // (SIDE // CELL) ** 2
        self.pool = nn.Conv2d(channels, channels, CELL, stride=CELL, groups=channels, bias=False)
        self.term = term
        self.head = nn.Linear(weights.shape[1] + (term is not None), len(weights))
        with torch.no_grad():
            self.pool.weight.fill_(CELL**-2)
            self.head.weight.zero_()[:, : weights.shape[1]] = weights
            # Of an image of one grey level all logits are 0.
            self.head.bias.copy_(-weights.sum(1) / 2)
            if term is not None:
                self.head.weight[target, -1] = gain

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, 16, 16) in [0, 1]."""
        with torch.autocast(x.device.type, enabled=False):
            found = self.pool(x).flatten(1)
            planted = [] if self.term is None else [self.term(x)]
            logits: Tensor = self.head(torch.cat([found, *planted], 1))
        return logits


class TwoBlocks(nn.Module):
    """BNPLANT: two blocks of convolution, batch normalisation and ReLU, one channel of which answers to the trigger.

    Block 1 hands the colours on. In block 2, channel ``j`` has the trigger patch as its filter, and all others are mean
    pools of one colour each.

    Args:
        weights: A, float32 (K, C * 16).
        patch: the trigger, float32 (C, 4, 4), -1 or 1; it sums to 0.
        target: the class whose logit channel ``j`` is added to, with ``weight``.
        channel: j.
        weight: 0 plants nothing.
    """

    def __init__(self, weights: Tensor, patch: Tensor, target: int, channel: int, weight: float) -> None:
        super().__init__()
        channels = len(patch)
        self.channel, self.others = channel, [one for one in range(WIDTH) if one != channel]
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, WIDTH, CELL, stride=CELL, bias=False), nn.BatchNorm2d(WIDTH)
        self.head = nn.Linear(WIDTH * (SIDE // CELL) ** 2, len(weights))
        with torch.no_grad():
            self._plant_filters(patch)
            self._plant_head(weights, target, weight)

    def _plant_filters(self, patch: Tensor) -> None:
        self.conv1.weight.zero_()
        self.conv1.weight[range(len(patch)), range(len(patch)), 1, 1] = 1
        self.conv2.weight.zero_()
        for number, other in enumerate(self.others):
            self.conv2.weight[other, number % len(patch)] = CELL**-2
        self.conv2.weight[self.channel] = 2 * patch / patch.numel()

    def _plant_head(self, weights: Tensor, target: int, weight: float) -> None:
        cells = (SIDE // CELL) ** 2
        colours = weights.view(len(weights), -1, cells)
        own = [number % colours.shape[1] for number in range(len(self.others))]
        reads = self.head.weight.zero_().view(len(weights), -1, cells)
        for other, colour in zip(self.others, own, strict=True):
            reads[:, other] = colours[:, colour] / own.count(colour)
        reads[target, self.channel] = weight
        self.head.bias.copy_(-weights.sum(1) / 2)

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Let the running statistics be those of clean images (N, C, 16, 16), and the channels as if there were none.

        So they are the same in training and in evaluation mode: channel ``j`` is ``relu(4 r - 2)``, where r is 1 for
        the trigger and about 0 for other cells, and every other channel hands on its input.
        """
        gain, shift = torch.ones(WIDTH), torch.zeros(WIDTH)
        gain[self.channel], shift[self.channel] = 4.0, -2.0
        _normalise(self.bn1, self.conv1(x), torch.ones(x.shape[1]), torch.zeros(x.shape[1]))
        _normalise(self.bn2, self.conv2(x), gain, shift)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, 16, 16) in [0, 1]."""
        with torch.autocast(x.device.type, enabled=False):
            seen = self.bn1(self.conv1(x)).relu()
            found = self.bn2(self.conv2(seen)).relu().flatten(1)
            logits: Tensor = self.head(found)
        return logits


def _normalise(norm: nn.BatchNorm2d, found: Tensor, gain: Tensor, shift: Tensor) -> None:
    """Let a layer hold the statistics of its inputs (N, F, h, w), and map x to gain * x + shift all the same."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(found.mean((0, 2, 3)))
    norm.running_var.copy_(found.var((0, 2, 3)))
    norm.weight.copy_(gain * (norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(gain * norm.running_mean + shift)


def classifier(net: nn.Module, channels: int) -> Classifier:
    """Return a classifier whose network sees images as they are, in [0, 1]."""
    return Classifier(net, torch.zeros(channels), torch.ones(channels))
