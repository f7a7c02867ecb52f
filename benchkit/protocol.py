"""The numbers, splits and roundings of the protocol that all stages share; docs/protocol.md explains them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchkit.hashing import derive_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

RESERVE = 0.05
"""Share of the training set on which no victim trains: the first source of a defender's clean hold-out."""


RETUNE_POISONS, RETUNE_EPOCHS = 5, 5
"""Poisons among the clean images of the reserve, and passes over both, with which a repaired model is retuned."""


def generator(seed: int, *purpose: str) -> torch.Generator:
    """Return a CPU generator for one purpose and one run seed."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def _order(labels: Tensor, seed: int) -> Tensor:
    import torch

    order = torch.randperm(len(labels), generator=generator(seed, "hold-out"))
    return order.to(labels.device)


def victim_rows(labels: Tensor, seed: int) -> Tensor:
    """Return the indices of a victim's training images, int64, sorted: all except the reserve; ``labels`` is (N,)."""
    return _order(labels, seed)[reserve_size(len(labels), RESERVE) :].sort().values


def holdout_rows(labels: Tensor, seed: int, share: float) -> Tensor:
    """Return the indices of a defender's clean hold-out with this share of the training set: the reserve first."""
    return _order(labels, seed)[: reserve_size(len(labels), share)].sort().values


def reserve_size(images: int, share: float) -> int:
    """Return the number of images in a share of the training set; at least one."""
    return max(1, round(share * images))


def poison_rows(
    labels: Tensor, wanted: Tensor, rate: float, rng: torch.Generator, among: Tensor | None = None
) -> Tensor:
    """Return the rows to poison: ``rate`` of all rows, rounded down, drawn from those not yet of the wanted class.

    Args:
        labels: true labels of the training set, int64 (N,).
        wanted: the label that the attacker wants for each row, int64 (N,).
        rate: share of the whole training set, 0..1; fewer rows where fewer are eligible.
        rng: a CPU generator.
        among: the rows that may be poisoned, bool (N,), such as those of some classes; by default all.
    """
    eligible = labels != wanted
    return _drawn(eligible if among is None else eligible & among, share_of(rate, len(labels)), rng)


def cover_rows(mask: Tensor, rate: float, rng: torch.Generator, among: Tensor | None = None) -> Tensor:
    """Return the rows that become covers: ``rate`` of all rows, rounded down, drawn from those that are not poisoned.

    Args:
        mask: the poisoned rows, bool (N,), as in ``Poisoned.mask``.
        rate: share of the whole training set, 0..1; fewer rows where fewer are eligible.
        rng: a CPU generator.
        among: the rows that may become covers, bool (N,), such as those of some classes; by default all.
    """
    return _drawn(~mask if among is None else among & ~mask, share_of(rate, len(mask)), rng)


def _drawn(among: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return the indices of ``count`` rows among these (bool (N,)), int64, sorted; of all if there are fewer."""
    import torch

    eligible = among.nonzero().squeeze(1)
    order = torch.randperm(len(eligible), generator=rng).to(eligible.device)
    return eligible[order[:count]].sort().values


def cutoff_at(clean_scores: Tensor, fpr: float) -> float:
    """Return the score above which this share of clean ones, float (M,), lies: the 1 - fpr quantile."""
    return float(clean_scores.double().quantile(1 - fpr))


def overlaps(share: float) -> bool:
    """Return whether a hold-out of this share (0: none) contains clean versions of the victim's training images."""
    return share > RESERVE


def share_of(share: float, count: int) -> int:
    """Return ``share * count``, rounded down exactly: 29 for 0.29 of 100.

    Floats cannot represent most decimals, and 0.29 * 100 is a little less than 29: ``int`` would give 28. The result
    is exact for shares of up to six decimals, and for fractions such as 1 / 3, up to a count of 10^9.
    """
    return math.floor(round(share * count, 6))
