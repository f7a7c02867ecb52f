"""The rows that clean-label attacks poison: images of the target class, not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


def target_rows(labels: Tensor, target: int, rate: float, max_share: float, rng: torch.Generator) -> Tensor:
    """Return random rows of the target class, sorted, int64 (M,): ``rate`` of the set, at most a share of the class.

    Args:
        labels: int64 (N,).
        rate: share of the whole set.
        max_share: largest share of the class.
        rng: a CPU generator.
    """
    own = (labels == target).nonzero().squeeze(1)
    count = min(benchkit.share_of(rate, len(labels)), benchkit.share_of(max_share, len(own)))
    order = torch.randperm(len(own), generator=rng).to(own.device)
    return own[order[:count]].sort().values
