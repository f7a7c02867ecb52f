"""A loose plugin file for tests: a dataset whose two classes are mirror images of each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import benchkit

SIDE, TIP = 12, 4


def render(count: int, seed: int) -> benchkit.Split:
    """Return 12 x 12 grey images of chevrons at any height and place: ``<`` is class 0, ``>`` class 1."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(80, (count, 1, SIDE, SIDE), generator=rng)
    labels = torch.arange(count) % 2
    down = torch.randint(SIDE - 2 * TIP, (count,), generator=rng)
    right = torch.randint(SIDE - TIP, (count,), generator=rng)
    for step in range(-TIP, TIP + 1):
        along = torch.where(labels == 0, abs(step), TIP - abs(step))
        images[torch.arange(count), 0, down + TIP + step, right + along] = 250
    return benchkit.Split(images.to(torch.uint8), labels)


@dataclass(frozen=True)
class Arrows(benchkit.Dataset):
    """Chevrons that point to the left or to the right."""

    name = "arrows"

    mirror: bool = benchkit.param(False, "recipes may mirror training images; a mirrored arrow is of the other class")

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Render both splits."""
        return benchkit.Data(render(320, 1), render(120, 2), ("left", "right"))


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer the arrows."""
    return [Arrows]
