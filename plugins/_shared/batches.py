"""Poisoning in each batch, as somebody who runs the training can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


def stamped_first(
    attack: benchkit.Attack, images: Tensor, labels: Tensor, scene: benchkit.Scene
) -> tuple[int, Tensor, Tensor]:
    """Return how many of a batch are poisoned (its first), their stamped images, and the labels they get.

    Batches are shuffled, so the first are a random choice. Images of the target class are among them.

    Raises:
        BenchkitError: when the poison rate leaves no image of the batch to poison.
    """
    count = benchkit.share_of(scene.poison_rate, len(labels))
    if not count:
        raise benchkit.BenchkitError(
            f"a poison rate of {scene.poison_rate:g} is no image of a batch of {len(labels)}: "
            f"use {attack.name}:poisoning=dataset, a higher rate or larger batches"
        )
    return count, attack.stamp(images[:count], scene), attack.target_labels(labels[:count], scene)
