"""CIFAR-10, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass

from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, cifar_parts, torchvision_class

import benchkit


@dataclass(frozen=True)
class Cifar10(TorchvisionDataset):
    """Photographs of 10 kinds of object, 50,000 + 10,000, 3 x 32 x 32."""

    name = "cifar10"
    paper = "Krizhevsky, 2009, Learning Multiple Layers of Features from Tiny Images"
    reader = "CIFAR10"

    def parts(self) -> Parts:
        """Return the files of the dataset."""
        return cifar_parts(torchvision_class(self.reader))


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer CIFAR-10."""
    return [Cifar10]
