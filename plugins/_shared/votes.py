"""How far a vote is from another winner, and an order of training images that their places do not change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import benchkit


def certain(votes: Tensor) -> Tensor:
    """Return how many voters may change their vote, each to any class, without another winner: int64 (N,).

    Of equal numbers of votes the smaller class wins. With n_c votes for the winner c this is the smallest
    ``floor((n_c - n_c' - [c' < c]) / 2)`` over all other classes c' (Levine and Feizi, ICLR 2021, theorem 1).

    Args:
        votes: whole numbers (N, K), K at least 2; int64 or float.
    """
    counts = votes.long()
    winner = counts.argmax(1, keepdim=True)
    classes = torch.arange(counts.shape[1], device=counts.device)
    rivals = counts + (classes < winner).long()
    rivals = rivals.masked_fill(classes == winner, -1)
    margin = counts.gather(1, winner).squeeze(1) - rivals.amax(1)
    return margin.clamp(min=0).div(2, rounding_mode="floor")


def by_content(images: Tensor, labels: Tensor) -> Tensor:
    """Return the rows in the order of their pixels, and then of their labels, int64 (N,), on the CPU.

    Wherever an image was in the set, it comes to the same place among others; images of equal pixels and labels cannot
    be told apart.
    """
    pixels = images.flatten(1).cpu().numpy()
    whole = np.ascontiguousarray(
        np.concatenate([pixels, labels.cpu().numpy().astype(">u8")[:, None].view(np.uint8)], 1)
    )
    order = np.argsort(whole.view(f"V{whole.shape[1]}")[:, 0], kind="stable")
    return torch.from_numpy(order)


def sorted_by_content(split: benchkit.Split) -> benchkit.Split:
    """Return a split in the order of its content."""
    return split[by_content(split.images, split.labels).to(split.labels.device)]
