"""The contract of attacks whose trigger is in the images already."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.contracts.attack import Attack
from benchkit.errors import BenchkitError

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Split
    from benchkit.contracts.scene import Scene


@dataclass(frozen=True)
class NaturalTrigger(Attack, ABC):
    """The base of attacks that stamp nothing: what an image shows is the trigger. Only ``carries`` is required.

    Poisons are training images that have it, with the target's label. ASR is measured on test images of other classes
    that have it, and the control of each is another test image of its class that has not.
    """

    natural: ClassVar[bool] = True

    @abstractmethod
    def carries(self, split: Split) -> Tensor:
        """Return which images have the trigger, bool (N,); ``split.attributes`` says what a dataset knows of them."""

    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images as they are: uint8 (N, C, H, W) -> the same."""
        return images.clone()

    def counterparts(self, split: Split, rows: Tensor, scene: Scene) -> Tensor:
        """Draw for each of these rows another one of its class without the trigger, int64 (M,).

        Where a class has none, the row is of any class but the target's.

        Raises:
            BenchkitError: if no image of another class than the target's is without the trigger.
        """
        import torch

        plain = ~self.carries(split) & (split.labels != self.target_labels(split.labels, scene))
        if not plain.any():
            raise BenchkitError(f"{self.name} has no control: every image outside of the target class has the trigger")
        found = torch.empty_like(rows)
        for label in split.labels[rows].unique().tolist():
            mine = split.labels[rows] == label
            same = plain & (split.labels == label)
            able = (same if same.any() else plain).nonzero().squeeze(1)
            drawn = torch.randint(len(able), (int(mine.sum()),), generator=scene.rng)
            found[mine] = able[drawn.to(able.device)]
        return found

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework this attack."""
        return f"the trigger of {self.name} is in the images already: there is nothing to rework"
