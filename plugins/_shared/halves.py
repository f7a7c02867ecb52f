"""Two halves of a defender's clean images: one to learn from, one whose scores are those of new images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import benchkit


def halves(clean: benchkit.Split) -> tuple[benchkit.Split, benchkit.Split]:
    """Return every second image of each class, and the others."""
    order = clean.labels.argsort(stable=True)
    return clean[order[::2]], clean[order[1::2]]


def drawn_halves(clean: benchkit.Split) -> tuple[benchkit.Split, benchkit.Split]:
    """Return two halves drawn at random, the same each time, for who knows no labels.

    Every second image would not do: where the labels alternate, each half lacks the classes of the other.
    """
    order = torch.randperm(len(clean), generator=torch.Generator().manual_seed(0))
    middle = len(clean) // 2
    return clean[order[:middle].sort().values], clean[order[middle:].sort().values]
