"""Poisoning in each batch, for attackers who control the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


def stamped_first(
    attack: benchkit.Attack, images: Tensor, labels: Tensor, scene: benchkit.Scene
) -> tuple[int, Tensor, Tensor]:
    """Return how many images of a batch are poisoned (its first ones), their stamped images, and their new labels.

    Batches are shuffled, so the first images are a random choice. They may include images of the target class.

    Raises:
        BenchkitError: if the poison rate gives no image per batch.
    """
    count = benchkit.share_of(scene.poison_rate, len(labels))
    if not count:
        raise benchkit.BenchkitError(
            f"a poison rate of {scene.poison_rate:g} is no image of a batch of {len(labels)}: "
            f"use {attack.name}:poisoning=dataset, a higher rate or larger batches"
        )
    return count, attack.stamp(images[:count], scene), attack.target_labels(labels[:count], scene)
