"""MNIST, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, mnist_parts

import benchkit


@dataclass(frozen=True)
class Mnist(TorchvisionDataset):
    """Handwritten digits, 60,000 + 10,000, 1 x 28 x 28, or resized bilinearly (as Pillow and torchvision do)."""

    name = "mnist"
    paper = "LeCun et al., Proc. IEEE 1998, Gradient-Based Learning Applied to Document Recognition"
    reader = "MNIST"

    mirror: bool = benchkit.param(False, "recipes may mirror training images; a mirrored digit is none")
    side: int = benchkit.param(28, "height and width of the images, in pixels; some papers have 32", ge=8)

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits, resized if ``side`` is not 28."""
        data = super().read(root, download)
        return benchkit.Data(self._resized(data.train), self._resized(data.test), data.classes)

    def _resized(self, split: benchkit.Split) -> benchkit.Split:
        if tuple(split.images.shape[2:]) == (self.side, self.side):
            return split
        images = F.interpolate(split.images, (self.side, self.side), mode="bilinear", antialias=True)
        return benchkit.Split(images, split.labels)

    def parts(self) -> Parts:
        """Return the files of the dataset."""
        return mnist_parts(self.reader)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer MNIST."""
    return [Mnist]
