"""The contract of attacks whose trigger is in the images already."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.contracts.attack import Attack

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Split
    from benchkit.contracts.scene import Scene


@dataclass(frozen=True)
class NaturalTrigger(Attack, ABC):
    """The base of attacks that stamp nothing: what an image shows is the trigger. Only ``carries`` is required.

    Poisons are training images that have it, with the target's label. Clean test images are those without it; ASR is
    measured on those of other classes that have it, beside a clean one of the same class each, which is also the
    control. Where all images of a class have it, they are left out.
    """

    natural: ClassVar[bool] = True

    @abstractmethod
    def carries(self, split: Split) -> Tensor:
        """Return which images have the trigger, bool (N,); ``split.attributes`` says what a dataset knows of them."""

    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images as they are: uint8 (N, C, H, W) -> the same."""
        return images.clone()

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework this attack."""
        return f"the trigger of {self.name} is in the images already: there is nothing to rework"
