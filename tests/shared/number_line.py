"""A toy world of one pixel a image, and a learner that is quick enough to try every small change of a training set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import torch
from attack_scenes import seeded
from torch import Tensor

import benchkit
from benchkit.contracts.scene import Scene
from benchkit.contracts.steering import Fit

CLASSES, LEVELS, CPU = 3, 5, torch.device("cpu")
GRID = torch.arange(LEVELS, dtype=torch.uint8)[:, None, None, None]
"""All images that there are, uint8 (LEVELS, 1, 1, 1)."""


class Majority:
    """A trainer whose models give the commonest label of the images that are nearest in grey level."""

    def fit(self, data: benchkit.Split, how: Fit | None = None, *, rng: torch.Generator) -> benchkit.Classifier:
        levels, labels = data.images.flatten().float(), torch.nn.functional.one_hot(data.labels, CLASSES).float()

        def votes(images: Tensor) -> Tensor:
            away = ((images.flatten(1) * 255).round() - levels).abs()
            return (away == away.amin(1, keepdim=True)).float() @ labels

        return benchkit.FromFunction(votes, CPU)

    def epochs_for(self, images: int) -> float:
        return 1.0

    def network(self, data: benchkit.Split, *, rng: torch.Generator) -> benchkit.Classifier:
        raise NotImplementedError


def line(levels: list[int], labels: list[int]) -> benchkit.Split:
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None]
    return benchkit.Split(images, torch.tensor(labels))


def scene(seed: int = 0) -> Scene:
    return Scene(CLASSES, (1, 1, 1), CPU, None, seeded(seed), trainer=Majority())


def changed(data: benchkit.Split, count: int) -> Iterator[benchkit.Split]:
    """Yield the set with every ``count`` of its images replaced by any images with any labels."""
    anything = [*product(range(LEVELS), range(CLASSES))]
    for rows in combinations(range(len(data)), count):
        for others in product(anything, repeat=count):
            levels, labels = (list(one.flatten().tolist()) for one in (data.images, data.labels))
            for row, (level, label) in zip(rows, others, strict=True):
                levels[row], labels[row] = level, label
            yield line(levels, labels)
