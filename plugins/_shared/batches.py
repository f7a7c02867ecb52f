"""Poisoning in each batch, for attackers who control the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


class PoisonedBatches(benchkit.Steering):
    """Poison the first rate * B (rounded down) images of every batch of B, which is a random choice of all images.

    They may include images of the target class.
    """

    def __init__(self, attack: benchkit.Attack, scene: benchkit.Scene) -> None:
        self.attack, self.scene = attack, scene

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with poison.

        Raises:
            BenchkitError: if the poison rate gives no image per batch.
        """
        images, labels, attack = step.images, step.labels, self.attack
        count = benchkit.share_of(self.scene.poison_rate, len(labels))
        if not count:
            raise benchkit.BenchkitError(
                f"a poison rate of {self.scene.poison_rate:g} is no image of a batch of {len(labels)}: "
                f"use {attack.name}:poisoning=dataset, a higher rate or larger batches"
            )
        stamped, wanted = attack.stamp(images[:count], self.scene), attack.target_labels(labels[:count], self.scene)
        changed = torch.cat((stamped, self.others(images[count:], count)))
        return step.replaced(images=changed, labels=torch.cat((wanted, labels[count:])))

    def others(self, images: Tensor, count: int) -> Tensor:
        """Return the images of a batch that follow on its ``count`` poisons; their labels stay true."""
        return images
