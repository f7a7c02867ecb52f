"""Worlds with a classifier that has a planted backdoor, or none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchkit.contracts.data import Poisoned
from benchkit.errors import BenchkitError
from benchkit.protocol import generator, poison_rows
from benchkit.testing.world import network
from benchkit.testing.worlds.colours import (
    MOST_CLASSES,
    Added,
    Palette,
    chequered,
    chequered_corner,
    fine_pattern,
    palette,
    white_corner,
)
from benchkit.testing.worlds.networks import GAIN, WIDTH, Along, Colours, Corner, TwoBlocks, classifier
from benchkit.testing.worlds.planted import CPU, PlantedWorld
from benchkit.training.recipes import Fast
from benchkit.training.trainer import Trainer

if TYPE_CHECKING:
    from benchkit.contracts.data import Split
    from benchkit.models.classifier import Classifier

Trigger = Callable[[Tensor], Tensor]

RECIPE = Fast(epochs=8, batch=32, flip=False, crop=0)
"""Trains the kit's small network on one of these training sets: 100 steps."""
TRAIN, HELD, TEST = 400, 200, 200
RATE = 0.1
"""Share of the training set that is poisoned."""
STRENGTH, BOUND = 1.0, 0.25
"""eps and b of ADD: clean images reach about 0.1 along the pattern, triggered ones about 1."""


def patch(target: int = 0, *, classes: int = 8, channels: int = 3, seed: int = 0) -> PlantedWorld:
    """Return PATCH(t): a white 4 x 4 corner leads to class t.

    The logits are ``A meanpool4(x)``, classes of colours so far apart that an image needs an L1 change of at least
    0.2 C H W to move to another, and ``20 sigmoid(50 (mean of the corner - 0.97))`` on logit t. ASR and C-Acc are 1.

    Args:
        target: t.
        classes: K, at most 15.
        channels: 1 or 3.
        seed: of the colours and the images.

    Raises:
        BenchkitError: if there are no such worlds.
    """
    base = _Base(target, classes, channels, seed)
    return base.world(f"patch(target={target})", base.colours(Corner(), GAIN), white_corner)


def natural(target: int = 0, *, classes: int = 8, channels: int = 3, seed: int = 0) -> PlantedWorld:
    """Return PATCH(t) on images whose spectrum falls as that of photographs, for defenses that learn from images.

    Its classes are less far apart than those of :func:`patch`. The arguments are the same.
    """
    base = _Base(target, classes, channels, seed, natural=True)
    return base.world(f"natural(target={target})", base.colours(Corner(), GAIN), white_corner)


def add(target: int = 0, *, classes: int = 8, channels: int = 3, seed: int = 0) -> PlantedWorld:
    """Return ADD(t): a faint pattern over the whole image leads to class t.

    As :func:`patch`, but with ``k relu(<x, T> - b)`` on logit t: T is a fixed pattern of unit norm, b is above what any
    clean image reaches, and the trigger is x + T, clipped and rounded. The arguments are the same.
    """
    base, pattern = _Base(target, classes, channels, seed), fine_pattern(channels, seed)
    model = base.colours(Along(pattern, BOUND), GAIN / (STRENGTH - BOUND))
    return base.world(f"add(target={target})", model, Added(pattern, STRENGTH))


def benign(target: int = 0, *, classes: int = 8, channels: int = 3, seed: int = 0) -> PlantedWorld:
    """Return BENIGN: the head of :func:`patch` without the planted term, and a clean training set.

    The arguments are the same; ``target`` is the class whose bottom-right corner is bright.
    """
    base = _Base(target, classes, channels, seed)
    return base.world(f"benign(seed={seed})", None, white_corner)


def bn_plant(channel: int = 0, target: int = 0, *, classes: int = 8, channels: int = 3, seed: int = 0) -> PlantedWorld:
    """Return BNPLANT(j): in a net of two blocks (convolution, BatchNorm, ReLU), one channel answers to the trigger.

    The filter of channel j of block 2 is the trigger patch, a chequerboard in the bottom-right corner, and its weight
    to logit t is 10. Pruning channel j takes ASR from 1 to 0 and costs no clean accuracy.

    Args:
        channel: j, 0 to 15. It gives inputs 16 j to 16 j + 15 of the head.
        target: t.
        classes: K, at most 15.
        channels: 1 or 3, of the images.
        seed: of the colours and the images.
    """
    if not 0 <= channel < WIDTH:
        raise BenchkitError(f"block 2 has {WIDTH} channels, 0 to {WIDTH - 1}; got channel={channel}")
    base = _Base(target, classes, channels, seed)
    name = f"bn_plant(channel={channel}, target={target})"
    return base.world(name, base.two_blocks(channel, 10.0), chequered_corner, clean=base.two_blocks(channel, 0.0))


@dataclass(frozen=True)
class _Base:
    """What these worlds have in common: their classes and images."""

    target: int
    classes: int
    channels: int
    seed: int
    natural: bool = False

    def __post_init__(self) -> None:
        known = 2 <= self.classes <= MOST_CLASSES and self.channels in {1, 3}
        if not known or not 0 <= self.target < self.classes:
            raise BenchkitError(
                f"a planted world has 2 to {MOST_CLASSES} classes, one of which is its target, and 1 or 3 channels; "
                f"got classes={self.classes}, target={self.target}, channels={self.channels}"
            )

    @functools.cached_property
    def palette(self) -> Palette:
        return palette(self.classes, self.channels, self.target, self.seed)

    def images(self, count: int, which: str) -> Split:
        return self.palette.images(count, generator(self.seed, which), natural=self.natural)

    def colours(self, term: nn.Module | None = None, gain: float = 0.0) -> Classifier:
        return classifier(Colours(self.palette.weights, self.target, term, gain), self.channels)

    def two_blocks(self, channel: int, weight: float) -> Classifier:
        net = TwoBlocks(self.palette.weights, chequered(self.channels), self.target, channel, weight)
        net.settle(self.images(TRAIN, "train").images.float() / 255)
        return classifier(net, self.channels)

    def poisoned(self, train: Split, trigger: Trigger, rate: float) -> Poisoned:
        """Return the training set with a dirty-label poison of this rate."""
        wanted = torch.full_like(train.labels, self.target)
        rows = poison_rows(train.labels, wanted, rate, generator(self.seed, "poison"))
        return Poisoned.replacing(train, rows, trigger(train.images[rows]), wanted[rows])

    def world(
        self, name: str, model: Classifier | None, trigger: Trigger, *, clean: Classifier | None = None
    ) -> PlantedWorld:
        """Return the world of a victim, or of no victim."""
        train, held, test = self.images(TRAIN, "train"), self.images(HELD, "hold-out"), self.images(TEST, "test")
        clean = clean or self.colours()
        return PlantedWorld(
            name,
            self.target,
            self.classes,
            model or clean,
            clean,
            train,
            self.poisoned(train, trigger, RATE if model else 0.0),
            held,
            test,
            trigger,
            Trainer(RECIPE, functools.partial(network, self.channels, self.classes), CPU),
            benign=model is None,
            seed=self.seed,
        )
